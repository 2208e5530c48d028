"""Reports that strangers hand in: of failures (RFC 3464) and of complaints (RFC 5965)."""


def report(server, to, raw, sender=""):
    """Hands in a report as a stranger would; the last reply."""
    with server.smtp() as connection:
        connection.ehlo()
        connection.mail(sender)
        code, text = connection.rcpt(to)
        return (code, text) if code != 250 else connection.data(raw)


def bounce_of(address, status="5.1.1"):
    return (
        "From: MAILER-DAEMON@late.test\r\nSubject: Undelivered Mail\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.late.test\r\n\r\n"
        f"Final-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: {status}\r\n\r\n--b--\r\n"
    )


def complaint_about(path, address):
    return (
        "From: fbl@late.test\r\nSubject: complaint\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Late/1\r\n"
        f"Original-Mail-From: <{path}>\r\nOriginal-Rcpt-To: <{address}>\r\n\r\n--b--\r\n"
    )
