"""A server of one's own, with FastAPI and Authlib: who is calling, and what is their number?

WECHAT_AUTH_URL is the API of this backend, CLIENT_NAME and CLIENT_SECRET are what `make api-client`
showed, DATABASE is the server's own SQLite file, PORT is where it listens.
"""

import os
import sqlite3
from typing import Annotated, Any

import httpx
import uvicorn
from authlib.integrations.httpx_client import AsyncOAuth2Client
from fastapi import Depends, FastAPI, Header, HTTPException, Response

AUTH = os.environ["WECHAT_AUTH_URL"]

app = FastAPI()
http = httpx.AsyncClient(base_url=AUTH, timeout=25)  # POST /phone answers within 20 s
introspection = AsyncOAuth2Client(
    os.environ["CLIENT_NAME"],
    os.environ["CLIENT_SECRET"],
    token_endpoint_auth_method="client_secret_basic",
)
database = sqlite3.connect(os.environ["DATABASE"], isolation_level=None)
database.execute(
    "CREATE TABLE IF NOT EXISTS users (appid, openid, phone, PRIMARY KEY (appid, openid))"
)


async def caller(authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """Ask the backend who sent this request; nothing that the client says of itself counts."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        answer = await introspection.introspect_token(f"{AUTH}/introspect", token=token)
        answer.raise_for_status()
        user = answer.json()
        if user["active"]:
            return user
    raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})


User = Annotated[dict[str, Any], Depends(caller)]


@app.post("/bind")
async def bind(tap: dict[str, Any], user: User, authorization: Annotated[str, Header()]) -> Any:
    """Send the tap on, as the user; bind the number that comes back, and show a part of it."""
    path, names = ("/phone", ["code"]) if "code" in tap else ("/decrypt", ["encryptedData", "iv"])
    sent = {name: tap.get(name) for name in names}
    answer = await http.post(path, json=sent, headers={"Authorization": authorization})
    if answer.status_code != 200:  # a problem document: the kit knows what to do with it
        kind = answer.headers["content-type"]
        return Response(answer.content, answer.status_code, media_type=kind)
    number = answer.json().get("data", answer.json()).get("phoneNumber")
    if number is None:
        raise HTTPException(422, "this is other data than a phone number")
    place = (user["client_id"], user["sub"], number)
    database.execute("REPLACE INTO users VALUES (?, ?, ?)", place)
    return {"masked": masked(number)}


@app.get("/me")
async def me(user: User) -> dict[str, str | None]:
    """Tell the caller what is bound to them."""
    place = (user["client_id"], user["sub"])
    found = database.execute("SELECT phone FROM users WHERE (appid, openid) = (?, ?)", place)
    row = found.fetchone()
    return {"masked": masked(row[0]) if row else None}


def masked(number: str) -> str:
    """Show who knows the number that it is theirs."""
    return f"{number[:3]}****{number[-4:]}"


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
