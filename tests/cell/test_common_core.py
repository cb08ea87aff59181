"""Files as VS Code REST Client, JetBrains and httpYac users write them: read where all three agree, refused elsewhere."""

import pytest
from samples.cells import items, one, urls

from fastreq_jupyter.errors import CellSyntaxError

REST_CLIENT = """\
@hostname = api.example.com
@port = 8080
@host = {{hostname}}:{{port}}
@contentType = application/json
@createdAt = {{$timestamp}}

###
// list of comments, second page
GET http://{{host}}/comments
    ?page=2
    &pageSize=10
Authorization: Basic ada pw

### create
# @name createComment
POST http://{{host}}/comments HTTP/1.1
Content-Type: {{contentType}}
X-Request: {{$guid}}

{
    "content": "fake content",
    "at": {{createdAt}}
}

###

# @name getCreated
GET http://{{host}}/comments/{{createComment.response.body.$.id}} HTTP/1.1
Authorization: {{createComment.response.headers.X-AuthToken}}

###

DELETE http://{{host}}/comments/{{$randomInt 1 9}}?user={{$processEnv USER}}
"""

JETBRAINS = """\
### first
GET http://example.com:8080
    /api
    /html
    /get
    ?id=123
    &value=content
From: user@example.com

###
GET /api/get HTTP/1.1
Host: example.com

###
POST http://example.com/api/add
Content-Type: application/x-www-form-urlencoded

id = 999&value = content

###
POST http://example.com/api/upload
Content-Type: multipart/form-data; boundary=abcd

--abcd
Content-Disposition: form-data; name="text"

Text
--abcd--

###
"""

HTTPYAC = """\
@base=https://api.example.com
@user = doe

GET {{base}}/anything?q={{user}}
Accept: application/json

HEAD {{base}}/get

PROPFIND {{base}}/get

POST {{base}}/anything
Content-Type: application/json

{
  "name": "{{user}}"
}

###
PUT {{base}}/anything

{ "template": "\\{{some}}" }
"""


def test_rest_client_file():
    listed, created, read, deleted = items(REST_CLIENT)
    assert listed.url == "http://api.example.com:8080/comments?page=2&pageSize=10"
    assert listed.headers == (("Authorization", "Basic YWRhOnB3"),)
    assert created.label == "createComment"
    assert created.content == b'{\n    "content": "fake content",\n    "at": 1700000000\n}'
    assert created.header("x-request").startswith("uuid-")
    assert created.hide_data
    assert read.needs == (1,)
    assert deleted.url == "http://api.example.com:8080/comments/9?user=ada"


def test_jetbrains_file():
    get, host, form, upload = items(JETBRAINS)
    assert get.url == "http://example.com:8080/api/html/get?id=123&value=content"
    assert host.url == "http://example.com/api/get"
    assert form.content == b"id=999&value=content"
    assert upload.content == b'--abcd\r\nContent-Disposition: form-data; name="text"\r\n\r\nText\r\n--abcd--\r\n'


def test_httpyac_file():
    found = items(HTTPYAC)
    assert [item.method for item in found] == ["GET", "HEAD", "PROPFIND", "POST", "PUT"]
    assert found[3].content == b'{\n  "name": "doe"\n}'
    assert found[4].content == b'{ "template": "{{some}}" }'


def test_the_example_of_the_jetbrains_specification_keeps_its_quotes():
    text = "###\nPOST http://example.com/api/add\nContent-Type: application/json\n\n{\n  \u201cname\u201d: \u201centity\u201d\n}"
    assert one(text).content.decode() == "{\n  \u201cname\u201d: \u201centity\u201d\n}"


def test_urls_alone_between_separators():
    assert urls("# @name iso\nGET https://h.example/a.iso\n\n###\n\nhttps://h.example/b@5.0.2/c.css\n\n###\n") == [
        "https://h.example/a.iso",
        "https://h.example/b@5.0.2/c.css",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "GET http://h/\nAuthorization: {{$aadToken}}",
        "GET http://h/?t={{$datetime rfc1123}}",
        "GET http://h/?t={{$timestamp -1 d}}",
        "# @note\nGET http://h/",
        "# @no-redirect\nGET http://h/",
        "# @ref one\nGET http://h/",
        "# @disabled\nGET http://h/",
        "# @import ./a.http\nGET http://h/",
        "GET http://h/\n\nHTTP/2.0 200 OK\naccept: a",
        "POST http://h/\n\n{}\n\n{{\n  test('x')\n}}",
        "POST http://h/\n\n{}\n\n<> 2026.200.json",
        "POST http://h/\n\n{}\n\n> {% client.test() %}",
        "POST http://h/\n\n{}\n\n>> out.json",
        "OPTIONS * HTTP/1.1\nHost: h",
        "GRPC h/service",
        "OPTIONS h.example/x",
    ],
)
def test_what_only_some_know_is_refused_with_its_place(text):
    with pytest.raises(CellSyntaxError) as caught:
        items(text)
    assert caught.value.line >= 1
