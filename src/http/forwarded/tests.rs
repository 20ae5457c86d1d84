use super::*;

type Fields = &'static [(&'static str, &'static str)];

fn trusting(setting: &str) -> Proxies {
    Proxies::parse(setting, Believed::ALL).unwrap()
}

fn read(setting: &str, fields: Fields) -> Result<Option<Origin>, Refused> {
    let proxies = trusting(setting);
    let pairs = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    resolve(&proxies, proxies.hops(), Some(b"own.example:8000"), pairs)
}

fn origin(setting: &str, fields: Fields) -> Origin {
    read(setting, fields).unwrap().unwrap()
}

fn client(setting: &str, name: &'static str, value: &'static str) -> String {
    let proxies = trusting(setting);
    let pairs = [(name.as_bytes(), value.as_bytes())].into_iter();
    match resolve(&proxies, proxies.hops(), None, pairs) {
        Ok(None) => String::from("none"),
        Ok(Some(origin)) => match origin.client {
            Client::Peer => String::from("peer"),
            Client::Unknown => String::from("unknown"),
            Client::Address(address, None) => address.to_string(),
            Client::Address(address, Some(port)) => format!("{address} {port}"),
        },
        Err(Refused) => String::from("refused"),
    }
}

fn host(setting: &str, fields: Fields) -> String {
    let host = origin(setting, fields).host.unwrap();
    String::from_utf8(host.into()).unwrap()
}

#[test]
fn the_client_is_the_first_address_from_the_right_that_is_not_trusted() {
    for (setting, value, expected) in [
        ("10.0.0.0/8", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (
            "10.0.0.0/8",
            "6.6.6.6, 203.0.113.9, 10.0.0.7",
            "203.0.113.9",
        ),
        // All of them are proxies: the farthest is who asked.
        ("10.0.0.0/8", "10.0.0.3, 10.0.0.7", "10.0.0.3"),
        // As many as are trusted, whatever their addresses.
        ("1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("2", "6.6.6.6, 203.0.113.9, 198.51.100.1", "203.0.113.9"),
        ("2", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8, 1", "203.0.113.9, 10.0.0.7", "10.0.0.7"),
        ("* 1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        // Forms of an address.
        ("1", "203.0.113.9:4711", "203.0.113.9 4711"),
        ("1", "2001:db8::1", "2001:db8::1"),
        ("1", "[2001:db8::1]:4711", "2001:db8::1 4711"),
        ("1", "[2001:db8::1]", "2001:db8::1"),
        ("1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "203.0.113.9, ::ffff:10.1.2.3", "203.0.113.9"),
        // Empty items are none.
        ("1", " , 203.0.113.9 ,, ", "203.0.113.9"),
        ("1", "", "none"),
        ("1", " , ", "none"),
        // Nobody says who: not the proxy, which may be let in where others are not.
        ("1", "unknown", "unknown"),
        ("1", "203.0.113.9, <script>", "unknown"),
        ("1", "203.0.113.999", "unknown"),
        ("1", "203.0.113.9:99999", "unknown"),
        ("1", "203.0.113.9:", "unknown"),
        ("1", "[::1", "unknown"),
        ("1", "[::1]x", "unknown"),
        ("1", "[203.0.113.9]", "unknown"),
        ("10.0.0.0/8", "6.6.6.6, unknown, 10.0.0.7", "unknown"),
    ] {
        assert_eq!(
            client(setting, "X-Forwarded-For", value),
            expected,
            "{setting}: {value}"
        );
    }
}

#[test]
fn an_entry_of_forwarded_is_read_like_one_of_x_forwarded_for() {
    for (value, expected) in [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;Proto=https;BY=10.0.0.1", "203.0.113.9"),
        ("for=6.6.6.6, for=203.0.113.9", "203.0.113.9"),
        ("for=6.6.6.6,for=203.0.113.9,for=10.0.0.7", "203.0.113.9"),
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1 4711"),
        ("for=\"203.0.113.9:4711\"", "203.0.113.9 4711"),
        ("for=\"203.0.113.9:_port\"", "203.0.113.9"),
        ("for=\"203\\.0.113.9\"", "203.0.113.9"),
        ("for=unknown", "unknown"),
        ("for=_hidden", "unknown"),
        ("proto=https", "unknown"),
        ("for=6.6.6.6, proto=https", "unknown"),
        ("secret=\"a, for=6.6.6.6;\";for=203.0.113.9", "203.0.113.9"),
        (",, for=203.0.113.9 ,;,", "203.0.113.9"),
    ] {
        assert_eq!(
            client("10.0.0.0/8", "Forwarded", value),
            expected,
            "{value}"
        );
    }
}

#[test]
fn a_malformed_forwarded_is_refused_since_it_could_hide_where_an_element_ends() {
    for value in [
        "for",
        "for=",
        "=a",
        "for=a b",
        "for=203.0.113.9:80",
        "for=[::1]",
        "for=\"a",
        "for=\"a\"b",
        "for=\"a\\",
        "for=1.1.1.1;for=2.2.2.2",
        "by=a;by=b",
        "host=a;proto=http;host=b",
        // What a client leaves open, a proxy's own element would fill.
        "for=6.6.6.6;x=\", for=203.0.113.9",
        "for=6.6.6.6;x=\", for=\"[::1]\"",
        "for =a",
        "for= a",
        "f\u{e9}=a",
    ] {
        assert_eq!(client("1", "Forwarded", value), "refused", "{value}");
    }
}

#[test]
fn both_families_at_once_are_refused() {
    for x in [
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-Proto", "http"),
        ("x-forwarded-host", "a"),
    ] {
        let fields = [("Forwarded", "for=1.1.1.1"), x];
        let pairs = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        assert_eq!(
            resolve(&trusting("1"), 1, None, pairs),
            Err(Refused),
            "{x:?}"
        );
    }
}

#[test]
fn only_what_the_settings_name_is_believed() {
    let fields: Fields = &[
        ("Forwarded", "for=6.6.6.6;host=evil"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Proto", "https"),
    ];
    let believed = Believed::parse("x-forwarded-for, X-Forwarded-Proto").unwrap();
    let proxies = Proxies::parse("1", believed).unwrap();
    let pairs = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    let origin = resolve(&proxies, 1, None, pairs).unwrap().unwrap();
    assert_eq!(
        origin.client,
        Client::Address("203.0.113.9".parse().unwrap(), None)
    );
    assert_eq!((origin.scheme, origin.host), (Some("https"), None));
    assert_eq!(Believed::parse("x-real-ip").unwrap_err(), "x-real-ip");
}

#[test]
fn scheme_and_host_are_what_the_outermost_trusted_proxy_wrote() {
    let fields: Fields = &[
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.0.0.7"),
        ("X-Forwarded-Proto", "ftp, https, http"),
        ("X-Forwarded-Host", "evil, www.example, inner"),
    ];
    let found = origin("10.0.0.0/8", fields);
    assert_eq!(found.scheme, Some("https"));
    assert_eq!(found.host.as_deref(), Some(&b"www.example"[..]));
    // Where each proxy replaces the list, there is one value.
    let fields: Fields = &[
        ("X-Forwarded-For", "203.0.113.9, 10.0.0.7"),
        ("X-Forwarded-Proto", "HTTPS"),
    ];
    assert_eq!(origin("10.0.0.0/8", fields).scheme, Some("https"));
    // Without a chain the peer alone is believed.
    let fields: Fields = &[("X-Forwarded-Proto", "https, http")];
    assert_eq!(origin("10.0.0.0/8", fields).scheme, Some("http"));
    let fields: Fields = &[(
        "Forwarded",
        "for=6.6.6.6;host=evil;proto=ftp, for=203.0.113.9;host=\"www.example:81\", for=10.0.0.7;proto=wss;host=inner",
    )];
    let found = origin("10.0.0.0/8", fields);
    assert_eq!(found.host.as_deref(), Some(&b"www.example:81"[..]));
    assert_eq!((found.scheme, found.port), (Some("https"), Some(81)));
}

#[test]
fn a_port_goes_into_the_host_unless_it_is_the_schemes_own() {
    assert_eq!(
        host(
            "1",
            &[("X-Forwarded-Host", "a"), ("X-Forwarded-Port", "81")]
        ),
        "a:81"
    );
    assert_eq!(
        host(
            "1",
            &[("X-Forwarded-Host", "a:99"), ("X-Forwarded-Port", "81")]
        ),
        "a:81"
    );
    assert_eq!(host("1", &[("X-Forwarded-Port", "80")]), "own.example");
    assert_eq!(
        host(
            "1",
            &[("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https")]
        ),
        "own.example"
    );
    assert_eq!(host("1", &[("X-Forwarded-Port", "443")]), "own.example:443");
    assert_eq!(
        host(
            "1",
            &[("X-Forwarded-Host", "[::1]"), ("X-Forwarded-Port", "81")]
        ),
        "[::1]:81"
    );
}

#[test]
fn values_that_cannot_be_used_are_refused() {
    for (name, value) in [
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Host", "a b"),
        ("X-Forwarded-Host", "a/b"),
        ("X-Forwarded-Host", "user@a"),
        ("X-Forwarded-Host", ":80"),
        ("X-Forwarded-Port", "0"),
        ("X-Forwarded-Port", "65536"),
        ("X-Forwarded-Port", "+80"),
        ("X-Forwarded-Port", "8o"),
        ("X-Forwarded-Prefix", "api"),
        ("X-Forwarded-Prefix", "//evil"),
        ("X-Forwarded-Prefix", "/\\evil"),
        ("X-Forwarded-Prefix", "/a?b"),
        ("X-Forwarded-Prefix", "/a b"),
        ("Forwarded", "host=\"a b\""),
        ("Forwarded", "proto=gopher"),
    ] {
        assert_eq!(client("1", name, value), "refused", "{name}: {value}");
    }
}

#[test]
fn a_prefix_has_no_slash_at_its_end() {
    for (value, prefix) in [("/api", "/api"), ("/api/v1//", "/api/v1"), ("/", "")] {
        let proxies = trusting("1");
        let pairs = [(&b"X-Forwarded-Prefix"[..], value.as_bytes())].into_iter();
        let origin = resolve(&proxies, 1, None, pairs).unwrap().unwrap();
        assert_eq!(origin.prefix.as_deref(), Some(prefix.as_bytes()), "{value}");
    }
}

#[test]
fn the_setting_names_addresses_networks_and_hops() {
    let proxies = trusting("127.0.0.1, 10.0.0.0/8 ::1,2001:db8::/32, unix, 3");
    for address in [
        "127.0.0.1",
        "10.255.0.1",
        "::1",
        "2001:db8:1::",
        "::ffff:10.0.0.1",
    ] {
        assert!(proxies.trusts(address.parse().unwrap()), "{address}");
    }
    for address in ["127.0.0.2", "11.0.0.1", "::2", "2001:db9::"] {
        assert!(!proxies.trusts(address.parse().unwrap()), "{address}");
    }
    assert!(proxies.trusts_unix());
    assert_eq!(proxies.hops(), 3);
    assert!(trusting("0.0.0.0/0").trusts("6.6.6.6".parse().unwrap()));
    assert!(trusting("2").trusts_unix());
    assert!(!trusting("10.0.0.1").trusts_unix());
}

#[test]
fn a_setting_that_would_trust_what_was_not_meant_is_refused() {
    for setting in [
        "",
        "*",
        "0",
        "65",
        "1 2",
        "* 10.0.0.1 1",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0/24",
        "2001:db8::1/32",
        "localhost",
        "10.0.0.1:80",
        "99999999999999999999",
    ] {
        assert!(Proxies::parse(setting, Believed::ALL).is_err(), "{setting}");
    }
}
