"""Accounts and access tokens of Label Studio, made as a person would make them in a browser."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from plugin.stack.part import StackError

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    email: str
    password: str
    token: str


def mint_token(url: str, email: str, password: str) -> str:
    """A personal access token; an account can have one at a time, so an older one is revoked."""
    with _session(url) as browser:
        _log_in(browser, email, password)
        for old in browser.get("/api/token/").json():
            browser.post("/api/token/blacklist/", json={"refresh": old["token"]}, headers=_csrf(browser))
        answer = browser.post("/api/token/", headers=_csrf(browser))
        _expect(answer, 201, f"no access token for {email}")
        return str(answer.json()["token"])


def token_works(url: str, token: str) -> bool:
    with _session(url) as client:
        return client.post("/api/token/refresh/", json={"refresh": token}).status_code == httpx.codes.OK


def access_token(url: str, token: str) -> str:
    """What a personal access token is exchanged for; valid for five minutes."""
    with _session(url) as client:
        answer = client.post("/api/token/refresh/", json={"refresh": token})
        _expect(answer, 200, "the access token is not accepted")
        return str(answer.json()["access"])


def sign_up(url: str, admin_token: str, email: str, password: str) -> Account:
    """A further user of the same organisation, by the admin's invitation link."""
    access = access_token(url, admin_token)
    with _session(url) as client:
        invitation = client.get("/api/invite", headers={"Authorization": f"Bearer {access}"})
        _expect(invitation, 200, "no invitation link")
    page = f"/user/signup/?token={invitation.json()['token']}"
    with _session(url) as browser:
        browser.get(page)
        form = {"email": email, "password": password, "allow_newsletters": "false"}
        _expect(browser.post(page, data=form, headers=_csrf(browser)), 302, f"cannot sign up {email}")
    return Account(email, password, mint_token(url, email, password))


def _log_in(browser: httpx.Client, email: str, password: str) -> None:
    browser.get("/user/login/")
    answer = browser.post("/user/login/", data={"email": email, "password": password}, headers=_csrf(browser))
    _expect(answer, 302, f"cannot log in as {email}")


def _session(url: str) -> httpx.Client:
    # Proxies of the environment are for the outside world.
    return httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)


def _csrf(browser: httpx.Client) -> dict[str, str]:
    return {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": str(browser.base_url)}


def _expect(answer: httpx.Response, status: int, problem: str) -> None:
    if answer.status_code != status:
        raise StackError(f"Label Studio: {problem} (status {answer.status_code})")
