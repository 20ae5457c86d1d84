use super::{Captures, Need, Outcome, Router, RouterBuilder, RuleError, RuleId, RuleSpec, Value};

fn router(rules: &[&str]) -> Router {
    let mut builder = RouterBuilder::new(true);
    for rule in rules {
        builder.add(RuleSpec::parse(rule).unwrap()).unwrap();
    }
    builder.build()
}

fn get<'p>(router: &Router, path: &'p str) -> (Outcome, Vec<Value<'p>>) {
    let mut captures = Captures::default();
    let outcome = router.find(None, path, "GET", false, &mut captures);
    (outcome, captures.values().to_vec())
}

fn matched(id: u32) -> Outcome {
    Outcome::Match(RuleId(id))
}

#[test]
fn static_comes_before_dynamic_and_int_before_string() {
    let router = router(&["/<name>", "/<int:id>", "/me", "/<path:rest>"]);
    assert_eq!(get(&router, "/me").0, matched(2));
    assert_eq!(get(&router, "/7"), (matched(1), vec![Value::Int(7)]));
    assert_eq!(get(&router, "/x"), (matched(0), vec![Value::Text("x")]));
    assert_eq!(get(&router, "/x/y"), (matched(3), vec![Value::Text("x/y")]));
}

#[test]
fn goes_back_when_a_branch_fails() {
    let router = router(&["/a/<int:x>/b", "/<y>/<z>/c"]);
    let values = vec![Value::Text("a"), Value::Text("1")];
    assert_eq!(get(&router, "/a/1/c"), (matched(1), values));
}

#[test]
fn converts_exactly() {
    let router = router(&["/i/<int(signed=True):n>", "/f/<float:n>", "/d/<int(3):n>"]);
    assert_eq!(get(&router, "/i/-007").1, [Value::Int(-7)]);
    assert_eq!(get(&router, "/i/٣").1, [Value::Int(3)]);
    assert_eq!(
        get(&router, "/i/9223372036854775807").1,
        [Value::Int(i64::MAX)]
    );
    let big = "9223372036854775808";
    assert_eq!(
        get(&router, "/i/9223372036854775808").1,
        [Value::BigInt(big)]
    );
    assert_eq!(get(&router, "/f/1.50").1, [Value::Float(1.5)]);
    assert_eq!(get(&router, "/f/1.5x").0, Outcome::NotFound);
    assert_eq!(get(&router, "/d/12").0, Outcome::NotFound);
    assert_eq!(get(&router, "/d/012").1, [Value::Int(12)]);
}

#[test]
fn splits_a_segment_between_converters_as_greedy_expressions_do() {
    let router = router(&["/<a>-<b>.<int:c>", "/<x>.<path:y>/end"]);
    let values = vec![Value::Text("1-2"), Value::Text("3.4"), Value::Int(5)];
    assert_eq!(get(&router, "/1-2-3.4.5"), (matched(0), values));
    let values = vec![Value::Text("v1"), Value::Text("0/z")];
    assert_eq!(get(&router, "/v1.0/z/end"), (matched(1), values));
}

#[test]
fn asks_for_the_slash_and_merges_slashes() {
    let router = router(&["/branch/", "/<path:p>/", "/a/b"]);
    let redirect = |path: &str| Outcome::Redirect(path.to_owned());
    assert_eq!(get(&router, "/branch").0, redirect("/branch/"));
    assert_eq!(get(&router, "/x/y").0, redirect("/x/y/"));
    assert_eq!(
        get(&router, "/x/y/"),
        (matched(1), vec![Value::Text("x/y")])
    );
    assert_eq!(get(&router, "/a//b").0, redirect("/a//b/"));
    assert_eq!(get(&self::router(&["/a/b"]), "/a///b").0, redirect("/a/b"));
    assert_eq!(get(&router, "").0, Outcome::NotFound);
}

#[test]
fn collects_the_methods_of_every_rule_that_nearly_matched() {
    let mut builder = RouterBuilder::new(true);
    for (rule, methods) in [("/x", ["GET", "HEAD"]), ("/<any>", ["PUT", "GET"])] {
        let spec = RuleSpec::parse(rule).unwrap().methods(&methods);
        builder.add(spec).unwrap();
    }
    let router = builder.build();
    let mut captures = Captures::default();
    let outcome = router.find(None, "/x", "POST", false, &mut captures);
    assert_eq!(outcome, Outcome::MethodNotAllowed);
    assert_eq!(
        router.allowed(&captures).collect::<Vec<_>>(),
        ["GET", "HEAD", "PUT"]
    );
    let outcome = router.find(None, "/x", "PUT", false, &mut captures);
    assert_eq!(outcome, matched(1));
    let outcome = router.find(None, "/x", "GET", true, &mut captures);
    assert_eq!(outcome, Outcome::WebsocketMismatch);
}

#[test]
fn takes_the_domain_first() {
    let mut builder = RouterBuilder::new(true);
    for (domain, rule) in [("", "/"), ("<lang>", "/"), ("www", "/<int:n>")] {
        builder
            .add(RuleSpec::parse(rule).unwrap().on(domain).unwrap())
            .unwrap();
    }
    let router = builder.build();
    let mut captures = Captures::default();
    assert_eq!(
        router.find(Some("de"), "/", "GET", false, &mut captures),
        matched(1)
    );
    assert_eq!(captures.values(), [Value::Text("de")]);
    assert_eq!(
        router.find(Some("www"), "/4", "GET", false, &mut captures),
        matched(2)
    );
    assert_eq!(
        router.find(None, "/", "GET", false, &mut captures),
        matched(0)
    );
}

#[test]
fn leaves_unknown_expressions_to_python_only_when_they_are_reached() {
    let mut spec = RuleSpec::parse("/c/<x>").unwrap();
    for token in &mut spec.path {
        if let super::Token::Variable(variable) = token {
            variable.regex = "[a-c]+".to_owned();
        }
    }
    let mut builder = RouterBuilder::new(true);
    builder.add(spec).unwrap();
    builder.add(RuleSpec::parse("/plain").unwrap()).unwrap();
    let router = builder.build();
    assert_eq!(router.expressions(), [r"(?P<__route_0>[a-c]+)\Z"]);
    assert_eq!(
        get(&router, "/c/abc").0,
        Outcome::NeedsPython(Need::Expression)
    );
    assert_eq!(get(&router, "/plain").0, matched(1));
    assert_eq!(get(&router, "/other").0, Outcome::NotFound);
}

#[test]
fn reads_arguments_and_refuses_malformed_rules() {
    let rules = router(&[
        "/s/<string(length=2):x>",
        "/t/<string(minlength=2, maxlength=3):x>",
        r#"/a/<any(a, "b c,d", e):x>"#,
        "/n/<int(min=1, max=9):x>",
    ]);
    for (path, id) in [("/s/äb", 0), ("/t/abc", 1), ("/a/b c,d", 2), ("/n/9", 3)] {
        assert_eq!(get(&rules, path).0, matched(id), "{path}");
    }
    for path in ["/s/abc", "/t/abcd", "/a/b", "/n/10", "/n/0"] {
        assert_eq!(get(&rules, path).0, Outcome::NotFound, "{path}");
    }
    for rule in ["/<", "/<int:>", "/<a b>", "/<int(:x>", "/<1a>"] {
        assert!(
            matches!(RuleSpec::parse(rule), Err(RuleError::Malformed(_))),
            "{rule}"
        );
    }
    assert_eq!(RuleSpec::parse("x"), Err(RuleError::NoSlash));
    let unknown = RuleSpec::parse("/<slug:x>");
    assert_eq!(unknown, Err(RuleError::UnknownConverter("slug".to_owned())));
}

#[test]
fn finds_static_segments_of_any_length_among_few_and_among_many() {
    let lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 300];
    // The sixteenth byte is in the middle of a character.
    let words = lengths.iter().flat_map(|&length| {
        [
            "x".repeat(length),
            format!("{}é", "x".repeat(length)),
            "é".repeat(length),
        ]
    });
    let words: Vec<_> = words.collect();
    for few in [1, 3, words.len()] {
        for words in words.chunks(few) {
            let rules: Vec<_> = words.iter().map(|word| format!("/{word}")).collect();
            let rules: Vec<_> = rules.iter().map(String::as_str).collect();
            let router = router(&rules);
            for (id, rule) in (0..).zip(&rules) {
                assert_eq!(get(&router, rule).0, matched(id), "{rule}");
                for near in [
                    format!("{rule}x"),
                    rule.replacen('x', "y", 1),
                    format!("{rule}\0"),
                ] {
                    let known = rules.iter().position(|rule| *rule == near);
                    let expected = known.map_or(Outcome::NotFound, |id| matched(id as u32));
                    assert_eq!(get(&router, &near).0, expected, "{near}");
                }
            }
        }
    }
}

#[test]
fn a_path_made_to_backtrack_stays_cheap() {
    for (rule, piece) in [
        ("/<a>-<b>-<c>-<d>.<int:e>", "-"),
        ("/<a>-<b>x", "-"),
        ("/<a><b><c><int:d>x", "1"),
        ("/<int:a><int:b><int:c>x", "1"),
        ("/<path:a>/<path:b>/<path:c>/x", "a/"),
        ("/<float:a><float:b>-", "1.1"),
        ("/<any(a,aa):a><any(a,aa):b><path:c>x/", "a"),
    ] {
        let router = router(&[rule]);
        let path = format!("/{}", piece.repeat(8000 / piece.len()));
        let start = std::time::Instant::now();
        assert_eq!(get(&router, &path).0, Outcome::NotFound, "{rule}");
        let elapsed = start.elapsed();
        // Milliseconds where nothing else runs; one step more for each pair of bytes would be a second, for each
        // triple a day.
        assert!(elapsed.as_secs() < 20, "{rule}: {elapsed:?}");
    }
}
