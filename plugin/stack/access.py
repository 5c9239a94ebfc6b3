"""Get an access token for a Label Studio that others started, and leave it where every part of ours reads it.

    python -m plugin.stack.access --email admin@assay.local --password-file /run/secrets/label_studio_password

Run once, before web and workers (docker-compose.yml). A token that still works is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from plugin.settings import Settings, load_settings
from plugin.stack import accounts
from plugin.stack.files import Home
from plugin.stack.part import StackError


def ensure_token(settings: Settings, email: str, password: str) -> bool:
    """Whether a new token was made."""
    url, token = settings.label_studio_url, settings.label_studio_token
    if url is None:
        raise StackError("ASSAY_LABEL_STUDIO_URL is not set")
    if token is not None and accounts.token_works(url, token.get_secret_value()):
        return False
    minted = accounts.mint_token(url, email, password)
    Home(settings.home.resolve()).write_stack_file({"LABEL_STUDIO_TOKEN": minted})
    return True


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="plugin.stack.access", description="Get a Label Studio access token.")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        made = ensure_token(load_settings(), options.email, options.password_file.read_text().strip())
    except (StackError, httpx.HTTPError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("made an access token for Label Studio" if made else "the access token for Label Studio still works")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
