//! Who a request comes from: nothing that is sent panics, and what is taken over is fit for a URL.
#![no_main]

use bustapi_core::conn::{Preamble, Said};
use bustapi_core::http::forwarded::{Believed, Proxies, resolve};
use bustapi_core::http::{TrustedHosts, is_host};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
];

fuzz_target!(|input: &[u8]| {
    if let Preamble::Complete { length, said } = Preamble::parse(input) {
        assert!(length <= input.len());
        assert_eq!(
            Preamble::parse(&input[..length]),
            Preamble::Complete { length, said }
        );
        assert_eq!(Preamble::parse(&input[..length - 1]), Preamble::Incomplete);
        if let Said::Client {
            source,
            destination,
            ..
        } = said
        {
            assert_eq!(source.is_ipv4(), destination.is_ipv4());
        }
    }
    let fields = || {
        input.split(|b| *b == b'\n').filter_map(|line| {
            let (name, value) = line.split_first()?;
            Some((NAMES[usize::from(*name) % NAMES.len()].as_bytes(), value))
        })
    };
    let hosts = TrustedHosts::parse(".example.com").unwrap();
    for setting in ["10.0.0.0/8, ::1", "1", "3"] {
        let proxies = Proxies::parse(setting, Believed::ALL).unwrap();
        let Ok(Some(origin)) = resolve(&proxies, proxies.hops(), Some(b"own"), fields()) else {
            continue;
        };
        if let Some(host) = &origin.host {
            assert!(!host.is_empty() && is_host(host));
            let _ = hosts.contains(host);
        }
        if let Some(prefix) = &origin.prefix {
            assert!(prefix.iter().all(u8::is_ascii_graphic) && !prefix.starts_with(b"//"));
            assert!(prefix.is_empty() || prefix[0] == b'/');
        }
    }
});
