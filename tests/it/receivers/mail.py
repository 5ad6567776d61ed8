"""A mail server that tells what it gets, a line of JSON for each mail.

Arguments: starttls, tls or none; the certificate and its key.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def tell(**what):
    print(json.dumps(what), file=sys.stderr, flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        if address.startswith("full@"):
            return "452 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell(
            encrypted=session.ssl is not None,
            login=session.auth_data.login.decode() if session.auth_data else None,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers={name: str(value) for name, value in mail.items()},
            plain=mail.get_body(("plain",)).get_content(),
            html=mail.get_body(("html",)).get_content(),
        )
        return "250 it is with us"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"me" and data.password == b"password-canary"
    return AuthResult(success=good, handled=False, auth_data=data if good else None)


mode, certificate, key = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)


def session():
    return SMTP(
        Handler(),
        hostname="mail.example",
        tls_context=context if mode == "starttls" else None,
        require_starttls=mode == "starttls",
        authenticator=authenticate,
        auth_required=mode != "none",
        auth_require_tls=mode == "starttls",
    )


async def serve():
    implicit = context if mode == "tls" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=implicit)
    tell(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(serve())
