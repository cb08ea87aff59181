"""curl commands as browsers and API documents write them."""

import pytest
from samples.cells import items, one, plan, urls

from fastreq_jupyter.auth import NTLM, Digest
from fastreq_jupyter.errors import CellSyntaxError


def refused(text, **more):
    with pytest.raises(CellSyntaxError) as caught:
        items(text, **more)
    return caught.value


FORM = ("Content-Type", "application/x-www-form-urlencoded")


def test_chrome_bash():
    request = one(
        "curl 'https://h.example/api?q=1' \\\n"
        "  -H 'accept: application/json' \\\n"
        "  -H 'content-type: application/json' \\\n"
        "  -b 'a=1; b=2' \\\n"
        '  --data-raw $\'{"text":"it\\\'s \\\\u00e9 \\u00e9 \\u0021\\\\n"}\' \\\n'
        "  --compressed"
    )
    assert request.method == "POST"
    assert request.url == "https://h.example/api?q=1"
    assert request.headers == (("accept", "application/json"), ("content-type", "application/json"), ("Cookie", "a=1; b=2"))
    assert request.content.decode() == '{"text":"it\'s \\u00e9 \u00e9 !\\n"}'


def test_chrome_writes_emoji_as_two_escapes():
    assert one(r"curl 'http://h/' --data-raw $'\ud83d\ude00'").content == "\U0001f600".encode()


def test_chrome_cmd():
    request = one(
        'curl ^"https://h.example/api?a=1^&b=^%^20^" ^\n  -H ^"accept: */*^" ^\n  -X ^"PUT^" ^\n'
        '  --data-raw ^"^{^\\^"a^\\^":^\\^"b c^\\^"^}^"'
    )
    assert request.method == "PUT"
    assert request.url == "https://h.example/api?a=1&b=%20"
    assert request.headers[0] == ("accept", "*/*")
    assert request.content == b'{"a":"b c"}'


def test_firefox_cmd():
    request = one('curl "https://h.example/x" ^\n  -H "Accept: a/b" ^\n  --data-raw "{""a"":1}"')
    assert request.header("accept") == "a/b"


def test_cmd_line_breaks_in_the_data():
    assert one('curl ^"http://h/^" ^\n  --data-raw ^"a^\n\nb^"').content == b"a\nb"


def test_firefox_posix():
    request = one("curl 'https://h.example/x' -X POST -H 'User-Agent: Mozilla/5.0' -H 'Referer: https://r.example/' --data-raw 'a=b&c=d'")
    assert request.content == b"a=b&c=d"


def test_typographic_quotes_within_quotes_are_text():
    assert one("curl http://h/ -d '\u201ca\u201d'").content == "\u201ca\u201d".encode()


def test_several_commands_in_a_cell():
    assert urls("curl http://h/1\ncurl 'http://h/2' -s\n\n# comment\n$ curl http://h/3\nhttp://h/4\ncurl.exe http://h/5") == [
        f"http://h/{n}" for n in range(1, 6)
    ]


def test_a_command_after_a_get_needs_no_separator():
    assert urls("GET http://h/1\nA: b\ncurl http://h/2") == ["http://h/1", "http://h/2"]


def test_quoted_text_may_span_lines():
    assert one("curl http://h/ -d '{\n  \"a\": 1\n}' -H 'Content-Type: application/json'").content == b'{\n  "a": 1\n}'


def test_double_quotes_as_documents_write_them():
    assert one('curl -X POST "http://h/" -H "Content-Type: application/json" -d "{\\"a\\": \\"b\\"}"').content == b'{"a": "b"}'


@pytest.mark.parametrize(
    ("options", "content", "kind"),
    [
        ("-d a=1 -d b=2", b"a=1&b=2", FORM[1]),
        ("-da=1", b"a=1", FORM[1]),
        ("--data @{file}", b"xy", FORM[1]),
        ("--data-binary @{file}", b"x\r\ny", FORM[1]),
        ("--data-raw @{file}", b"@{file}", FORM[1]),
        ("--data-urlencode 'a=b c&d'", b"a=b+c%26d", FORM[1]),
        ("--data-urlencode '=b c'", b"b+c", FORM[1]),
        ("--data-urlencode 'b c'", b"b+c", FORM[1]),
        ("--data-urlencode a@{file}", b"a=x%0D%0Ay", FORM[1]),
        ("--data-urlencode @{file}", b"x%0D%0Ay", FORM[1]),
        ("--json '{{\"a\":1}}'", b'{"a":1}', "application/json"),
        ("--json '[1' --json ',2]'", b"[1,2]", "application/json"),
        ("-d '{{\"a\":1}}' -H 'Content-Type: application/json'", b'{"a":1}', "application/json"),
        ("-d a -H 'Content-Type:'", b"a", None),
    ],
)
def test_data(tmp_path, options, content, kind):
    file = tmp_path / "f"
    file.write_bytes(b"x\r\ny")
    request = one(f"curl http://h/ {options.format(file=file)}")
    assert request.method == "POST"
    assert request.content == (content.replace(b"{file}", str(file).encode()))
    assert request.header("content-type") == kind


def test_json_accepts_json():
    assert one("curl --json '{}' http://h/").header("accept") == "application/json"
    assert one("curl --json '{}' http://h/ -H 'Accept: a/b'").headers == (("Content-Type", "application/json"), ("Accept", "a/b"))


def test_get_puts_data_into_the_query():
    request = one("curl -G http://h/x -d a=1 --data-urlencode 'q=b c'")
    assert (request.method, request.url, request.content) == ("GET", "http://h/x?a=1&q=b+c", None)
    assert one("curl -G 'http://h/x?z=0' -d a=1").url == "http://h/x?z=0&a=1"


def test_url_query_adds_to_the_query():
    assert one("curl 'http://h/x?z=0' --url-query 'q=b c'").url == "http://h/x?z=0&q=b+c"


def test_forms_with_files(tmp_path):
    (tmp_path / "p.png").write_bytes(b"\x89")
    request = one(
        f"curl http://h/ -F 'a=b c;type=text/x' -F f=@{tmp_path}/p.png -F 'g=@{tmp_path}/p.png;type=x/y;filename=q.bin' -F 't=<{tmp_path}/p.png' --form-string 'l=@x;type=y'"
    )
    boundary = request.header("content-type").partition("boundary=")[2]
    parts = request.content.split(f"--{boundary}".encode())
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/x\r\n\r\nb c\r\n'
    assert b'name="f"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n\x89\r\n' in parts[2]
    assert b'name="g"; filename="q.bin"\r\nContent-Type: x/y\r\n' in parts[3]
    assert parts[4] == b'\r\nContent-Disposition: form-data; name="t"\r\n\r\n\x89\r\n'
    assert parts[5].endswith(b"\r\n\r\n@x;type=y\r\n")
    assert parts[6] == b"--\r\n"


def test_equal_forms_are_equal_requests():
    assert one("curl http://h/ -F a=b") == one("curl http://h/ -F a=b")


def test_user_is_basic_and_secret():
    request = one("curl -u ada:pw http://h/")
    assert request.headers == (("Authorization", "Basic YWRhOnB3"),)
    assert "pw" in request.secrets


@pytest.mark.parametrize(("flag", "made"), [("--digest", Digest), ("--ntlm", NTLM)])
def test_a_password_for_a_challenge_is_the_librarys(flag, made):
    asked = plan(f"curl {flag} -u ada:p:w http://h/1 http://h/2")
    assert asked.run_options == {"auth": made("ada", "p:w")}
    assert [request.headers for request in asked.items] == [(), ()]
    assert "p:w" not in repr(asked.run_options)


def test_small_options_become_headers():
    request = one("curl http://h/ -A agent -e http://r/ -r 0-9 -b 'a=1' --oauth2-bearer tok")
    assert dict(request.headers) == {
        "User-Agent": "agent",
        "Referer": "http://r/",
        "Range": "bytes=0-9",
        "Cookie": "a=1",
        "Authorization": "Bearer tok",
    }


def test_an_empty_header_is_sent():
    assert one("curl http://h/ -H 'X-A;'").headers == (("X-A", ""),)


def test_methods():
    assert one("curl -I http://h/").method == "HEAD"
    assert one("curl --request DELETE --url http://h/").method == "DELETE"
    assert one("curl -XPUT http://h/ -d x").method == "PUT"


def test_cosmetic_flags_change_nothing():
    assert one("curl -sSvifL# --compressed --no-progress-meter http://h/") == one("http://h/")


def test_options_of_the_run_are_lifted_when_all_agree():
    text = "curl -k -m 10 -x http://p:1 --http1.1 --max-redirs 3 http://h/1\n" * 2
    assert dict(plan(text).run_options) == {
        "verify_ssl": False,
        "timeout": "10",
        "proxy": "http://p:1",
        "http2": False,
        "max_redirects": "3",
    }


def test_options_of_the_run_that_do_not_agree_are_refused():
    assert "verify_ssl" in str(refused("curl -k http://h/1\ncurl http://h/2"))
    assert "timeout" in str(refused("curl -m 1 http://h/1\ncurl -m 2 http://h/2"))


def test_an_option_of_the_run_that_the_user_gave_otherwise_is_refused():
    assert "timeout" in str(refused("curl -m 1 http://h/1", timeout=5, given=["timeout"]))
    assert plan("curl -m 5 http://h/1", timeout=5, given=["timeout"]).run_options == {"timeout": "5"}


def test_a_lifted_value_out_of_range_is_refused():
    assert "timeout" in str(refused("curl -m 0 http://h/1"))


def test_ranges_and_globoff():
    assert urls("curl 'http://h/[1-2]'") == ["http://h/1", "http://h/2"]
    assert urls("curl -g 'http://h/[1-2]/{x}'") == ["http://h/[1-2]/{x}"]


def test_several_urls_and_next():
    found = items("curl http://h/1 http://h/2 -H 'A: b' --next http://h/3 -d x")
    assert [(item.method, item.url, len(item.headers)) for item in found] == [
        ("GET", "http://h/1", 1),
        ("GET", "http://h/2", 1),
        ("POST", "http://h/3", 1),
    ]


def test_placeholders_in_a_command():
    request = one("curl 'http://h/{{ id }}' -H 'X-Token: {{$env TOKEN}}' --data-urlencode 'q={{q}}' -u {{u}}:{{p}}",
                  namespace={"id": "a/b", "q": "1&2", "u": "ada", "p": "pw"})  # fmt: skip
    assert request.url == "http://h/a%2Fb"
    assert request.content == b"q=1%262"
    assert ("Authorization", "Basic YWRhOnB3") in request.headers


def test_a_command_can_be_named():
    parent, child = items("# @name login\ncurl http://h/login -d x=1\ncurl http://h/ -H 'X-Api-Key: {{login.data.t}}'")
    assert parent.label == "login"
    assert parent.hide_data
    assert child.needs == (0,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("curl", "without URL"),
        ("curl http://h/ --nope", "unknown curl option --nope"),
        ("curl http://h/ --compresed", "did you mean --compressed"),
        ("curl http://h/ -?", "unknown curl option -?"),
        ("curl http://h/ -sW", "unknown curl option -W"),
        ("curl http://h/ -X", "needs a value"),
        ("curl http://h/ -u ada", "password"),
        ("curl http://h/ --digest -u 'a:{{b}}'", "--auth NAME, a variable with Digest(user, password)"),
        ("curl http://h/ --digest -u a:b\ncurl http://h/", "auth holds for the whole run"),
        ("curl http://h/ --anyauth -u a:b", "--digest"),
        ("curl http://h/ --aws-sigv4 aws:amz -u a:b", "SigV4(service, region)"),
        ("curl http://h/ -n", "netrc"),
        ("curl http://h/ --resolve a:1:2", "resolve"),
        ("curl http://h/ --http3", "HTTP/2"),
        ("curl http://h/ -H 'Host:'", "take away"),
        ("curl http://h/ -H nonsense", "no header"),
        ("curl http://h/ -H @file", "file"),
        ("curl http://h/ -d a -F b=c", "exclude"),
        ("curl http://h/ -F b", "name=value"),
        ("curl http://h/ -r 1-2 -d a", "Content-Range"),
        ("curl http://h/ -d @/nothing/here", "cannot read"),
        ("curl http://h/ -d @-", "standard input"),
        ("curl http://h/ || curl http://h/2", "the shell's"),
        ("curl http://h/ < in", "-d @file"),
        ("curl http://h/ -d @- <<EOF", "here-document"),
        ("curl http://h/; rm x", "rm' is a command"),
        ("curl http://h/;a=1", "; ends the command"),
        ("curl http://h/?a=1&b=2", "quote the URL"),
        ("curl http://h/ -H 'A: b", "not closed"),
        ('curl http://h/ -H "A: $NOPE"', "not set in the environment"),
        ('curl http://h/ -d "${A:-b}"', "worked out by a shell"),
        ('curl http://h/ -d "costs $5"', "worked out by a shell"),
        ("curl http://h/ \u2013H 'A: b'", "typographic dash"),
        ("curl http://h/x\u00a0-s", "no-break space"),
        ("curl -Uri http://h/ -Method POST", "PowerShell"),
        ("curl http://h/ -F 'a=b;c=d'", "is not supported"),
        ("curl http://h/ -F a=b -H 'Content-Type: multipart/form-data; boundary=x'", "take this header out"),
        ('curl http://h/ -d "$(date)"', "runs a command"),
        ("curl ftp://h/", "only http"),
        ("curl http://h/ is down", "http:// or https://"),
        ("curl http://h/ `\n -H 'A: b'", "PowerShell"),
        ("curl http://h/ \\ \n  -H 'A: b'", "blank behind the \\"),
        ("curl \u2018http://h/\u2019 -H \u2018A: b\u2019", "line 1, column 6: \u2018 is a typographic quote: write '"),
        ("curl http://h/ -d \u201ca=1\u201d", "typographic"),
        ("# @name a\ncurl http://h/1 http://h/2", "names one request"),
    ],
)
def test_what_cannot_be_honoured_is_named(text, said):
    assert said in str(refused(text))


def test_the_place_of_an_error_is_that_of_the_word():
    error = refused("curl 'http://h/' \\\n  -H 'A: b' \\\n  --nope")
    assert (error.line, error.column) == (3, 3)
    error = refused("curl 'http://h/{{nope}}'")
    assert (error.line, error.column) == (1, 16)


def test_quotes_of_windows_are_doubled():
    assert one('curl "http://h/x" ^\n  -H "Accept: a/b" ^\n  --data-raw "{""a"":""b c""}"').content == b'{"a":"b c"}'
    assert one('curl "http://h/x" -H "Accept: a/b" --data "{""a"":1}"').content == b'{"a":1}'
    assert one('curl ^"http://h/x^" ^\n  -d """a""" -H ""').content == b'"a"'


def test_quotes_put_together_in_a_shell_stay_so():
    assert one('curl http://h/ -d "" -H "A: b" -H "B: c""d"').headers[1] == ("B", "cd")


def test_powershells_escaped_quotes_are_quotes():
    assert one("curl.exe http://h/ -d '{\\\"a\\\": 1}'").content == b'{"a": 1}'


def test_commands_of_cmd_are_joined():
    text = 'curl ^"http://h/1?a=1^&b=2^" ^\n  -H ^"A: b^" &\ncurl ^"http://h/2^" & curl "http://h/3"'
    assert urls(text) == ["http://h/1?a=1&b=2", "http://h/2", "http://h/3"]


def test_what_prints_a_line_end_is_no_request():
    assert urls("curl http://h/1; echo\ncurl http://h/2 && echo 'done; all' # yes") == ["http://h/1", "http://h/2"]


def test_variables_of_cmd():
    request = one('curl "http://h/%USER%?a=%20%41%USER" ^\n -H "A: %TOKEN%" ^\n -d "%AB%" -d ^"^%^TOKEN^%^"')
    assert request.url == "http://h/ada?a=%20%41%USER"
    assert request.header("a") == "s3cret-token"
    assert request.content == b"%AB%&%TOKEN%"
    assert "s3cret-token" in request.secrets


def test_a_variable_of_the_shell_goes_in_as_it_stands_and_is_a_secret():
    request = one('curl "$BASE/x?a=$Q" --json "{\\"a\\": $J, \\"b\\": \\"$TOKEN\\", \\"c\\": {{row}}}"', environ={
        "BASE": "http://h/a/b", "Q": "1&b=2", "J": '{"x": [1]}', "TOKEN": 'a"b'}, namespace={"row": 'q"'})  # fmt: skip
    assert request.url == "http://h/a/b/x?a=1&b=2"
    assert request.content == b'{"a": {"x": [1]}, "b": "a"b", "c": "q\\""}'
    assert {"http://h/a/b", "1&b=2", 'a"b'} <= request.secrets


def test_the_notebooks_variable_is_not_the_shells():
    assert "{{token}}" in str(refused('curl http://h/ -H "A: $token"', namespace={"token": "x"}))


@pytest.mark.parametrize(
    ("command", "note"),
    [
        ("curl http://h/ | jq '.items[]' # all", "line 1: | jq '.items[]' is left out: --select EXPR chooses from the body"),
        ("curl http://h/ -s | grep -c '|;'; echo", "line 1: | grep -c '|;' is left out: --select EXPR chooses from the body"),
        ("\ncurl http://h/ -o out.json", "line 2: curl's --output is left out: --save-to DIR keeps bodies as files"),
        ("curl http://h/ >out.json 2>&1", "line 1: >out.json is left out: --save-to DIR keeps bodies as files"),
        ("curl http://h/ -w '%{http_code}'", "line 1: curl's --write-out is left out: status and times are columns of the frame"),
        ("curl http://h/ -c jar -b a=1", "line 1: curl's --cookie-jar is left out: --session keeps cookies"),
    ],
)
def test_what_is_left_out_is_told(command, note):
    assert plan(command).notes == (note,)


@pytest.mark.parametrize(
    "rest", ["| jq .", "| jq -r '.'", "| python3 -m json.tool", "| cat", "-o /dev/null", "> /dev/null", "2>&1", "-D -", "-s", "--http2"]
)
def test_what_only_shows_an_answer_is_not_worth_a_line(rest):
    made = plan(f"curl http://h/ {rest}")
    assert (made.notes, made.run_options, made.total) == ((), {}, 1)


def test_a_certificate_and_its_key_are_lifted(tmp_path):
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    run_options = plan(f"curl https://h/ --cert {tmp_path}/c.pem --key {tmp_path}/k.pem").run_options
    assert run_options == {"cert": (f"{tmp_path}/c.pem", f"{tmp_path}/k.pem")}


def test_a_content_type_of_a_form_keeps_its_name_and_gets_the_boundary():
    kind = one("curl http://h/ -H 'content-type: multipart/mixed' -F a=b").headers
    assert [name for name, _ in kind] == ["content-type"]
    assert kind[0][1].startswith("multipart/mixed; boundary=----")


def test_cookies_of_a_file_go_to_their_hosts(tmp_path):
    jar = tmp_path / "jar"
    jar.write_text(".example.com\tTRUE\t/\tTRUE\t0\ta\t1\n")
    requests = items(f"curl -b {jar} https://www.example.com/ http://example.com/ https://an-example.com/ https://EXAMPLE.com/x")
    assert [request.header("cookie") for request in requests] == ["a=1", None, None, "a=1"]
    assert plan("curl http://h/ -b gone.txt").notes == ("line 1: there is no cookie file gone.txt: none of its cookies are sent",)
    # curl sends two fields here, which RFC 6265 forbids.
    assert one(f"curl -b {jar} https://www.example.com/ -H 'cookie: b=2'").headers == (("Cookie", "a=1; b=2"),)
    jar.write_text("nonsense\n")
    assert "no cookie file" in str(refused(f"curl http://h/ -b {jar}"))
    assert "-b" in str(refused(f"curl {{{{u}}}}/x -b {jar}", namespace={"u": "http://h"}))
