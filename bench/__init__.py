"""How fast the functions start and answer, beside what people would use instead: `make bench`.

* ``artefacts`` – what runs: our built functions, and the peers in ``peers/``, built likewise.
* ``stub_services`` – AWS and WeChat, answering at once from a process of their own.
* ``environment`` – one Lambda environment in a process: the program that is timed.
* ``measuring`` – starts such processes and reads their clocks.
* ``crypto`` – decrypting and sealing beside OpenSSL.
* ``report`` – the tables and the targets.
"""
