"""The pages of sign-in and consent, as a browser without scripts goes through them."""

import html.parser
import urllib.parse


class Form(html.parser.HTMLParser):
    """The hidden fields of the one form of a page."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.action = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes["action"]
        if tag == "input" and attributes["type"] == "hidden":
            self.fields[attributes["name"]] = attributes["value"]


def agree(browser, url, login, password, callback):
    """Signs in and agrees; where the browser is sent on to."""
    page = browser.get(url)
    assert page.status_code == 200, (page.status_code, page.text)
    form = Form(page.text)
    filled = {**form.fields, "username": login, "password": password}
    page = browser.post(urllib.parse.urljoin(page.url, form.action), data=filled)
    assert page.status_code == 200, (page.status_code, page.text)
    form = Form(page.text)
    filled = {**form.fields, "decision": "allow"}
    done = browser.post(urllib.parse.urljoin(page.url, form.action), data=filled, allow_redirects=False)
    assert done.status_code == 302 and done.headers["Location"].startswith(callback), (done.status_code, done.text)
    return done.headers["Location"]
