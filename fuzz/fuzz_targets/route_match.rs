//! Rules, an empty line, domain, method, and the path to its end: no table and no path breaks matching.
#![no_main]

use bustapi_core::route::{Captures, Outcome, RouterBuilder, RuleSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Some((rules, request)) = input.split_once("\n\n") else {
        return;
    };
    let mut parts = request.splitn(3, '\n');
    let (Some(domain), Some(method), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let mut builder = RouterBuilder::new(true);
    for (index, rule) in rules.split('\n').enumerate() {
        // `domain|/rule`, every third one for a method of its own and without strict slashes.
        let (host, rule) = rule.split_once('|').unwrap_or(("", rule));
        if let Ok(mut spec) = RuleSpec::parse(rule).and_then(|spec| spec.on(host)) {
            if index % 3 == 2 {
                spec = spec.methods(&["POST"]);
                spec.strict_slashes = false;
            }
            let _ = builder.add(spec);
        }
    }
    let router = builder.build();
    let mut captures = Captures::default();
    let outcome = router.find(Some(domain), path, method, false, &mut captures);
    match &outcome {
        Outcome::Match(id) => assert_eq!(router.variables(*id).count(), captures.values().len()),
        Outcome::Redirect(better) => {
            let mut captures = Captures::default();
            let again = router.find(Some(domain), better, method, false, &mut captures);
            // Leading slashes count as one: a rule whose first variable may be empty asks for what cannot be.
            let is_possible = !better.starts_with("//");
            assert!(
                !is_possible || better != path && again != outcome,
                "redirects to itself"
            );
        }
        Outcome::MethodNotAllowed => assert!(router.allowed(&captures).count() > 0),
        _ => {}
    }
    assert_eq!(
        router.find(Some(domain), path, method, false, &mut captures),
        outcome
    );
});
