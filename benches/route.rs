//! Finding a rule: tables of different sizes, every rule as likely as the next, one request in ten for none of them.

use std::hint::black_box;

use bustapi_core::route::{Captures, Outcome, Router, RouterBuilder, RuleSpec};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REQUESTS: usize = 16_384;

/// The rules of resources as an API has them, eight each, and a path that each rule takes.
fn rule(index: usize, salt: u64) -> (String, &'static str, String) {
    let resource = format!("resource-{}", index / 8);
    let id = salt % 100_000;
    match index % 8 {
        0 => (
            format!("/api/v1/{resource}"),
            "GET",
            format!("/api/v1/{resource}"),
        ),
        1 => (
            format!("/api/v1/{resource}"),
            "POST",
            format!("/api/v1/{resource}"),
        ),
        2 => (
            format!("/api/v1/{resource}/<int:id>"),
            "GET",
            format!("/api/v1/{resource}/{id}"),
        ),
        3 => (
            format!("/api/v1/{resource}/<int:id>"),
            "DELETE",
            format!("/api/v1/{resource}/{id}"),
        ),
        4 => (
            format!("/api/v1/{resource}/search"),
            "GET",
            format!("/api/v1/{resource}/search"),
        ),
        5 => (
            format!("/api/v1/{resource}/<int:id>/comments/<uuid:comment>"),
            "GET",
            format!("/api/v1/{resource}/{id}/comments/12345678-90ab-cdef-1234-{id:012}"),
        ),
        6 => (
            format!("/{resource}/<slug>"),
            "GET",
            format!("/{resource}/a-title-of-a-page-{id}"),
        ),
        _ => (
            format!("/{resource}/files/<path:name>"),
            "GET",
            format!("/{resource}/files/some/folder/{id}.png"),
        ),
    }
}

fn miss(index: usize, salt: u64) -> (&'static str, String) {
    let resource = index / 8;
    match salt % 4 {
        0 => ("GET", format!("/api/v1/resource-{resource}x")),
        1 => (
            "GET",
            format!("/api/v1/resource-{resource}/not-a-number/comments"),
        ),
        2 => ("PUT", format!("/api/v1/resource-{resource}/search")),
        _ => ("GET", format!("/wp-admin/{salt}.php")),
    }
}

fn table(rules: usize) -> Router {
    let mut builder = RouterBuilder::new(true);
    for index in 0..rules {
        let (text, method, _) = rule(index, 0);
        let spec = RuleSpec::parse(&text).map(|spec| spec.methods(&[method]));
        builder
            .add(spec.expect("the rules above are well formed"))
            .expect("they are few parts and methods");
    }
    builder.build()
}

/// The same requests in every run.
fn requests(rules: usize) -> Vec<(&'static str, String)> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..REQUESTS)
        .map(|_| {
            let index = (random() % rules as u64) as usize;
            let salt = random();
            if random() % 10 == 0 {
                return miss(index, salt);
            }
            let (_, method, path) = rule(index, salt);
            (method, path)
        })
        .collect()
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for rules in [10, 1_000, 10_000] {
        let router = table(rules);
        let requests = requests(rules);
        let found = |(method, path): &(&str, String)| {
            let mut captures = Captures::default();
            let outcome = router.find(None, path, method, false, &mut captures);
            matches!(outcome, Outcome::Match(_))
        };
        let hits = requests.iter().filter(|&request| found(request)).count();
        assert!(
            (REQUESTS * 88 / 100..=REQUESTS * 92 / 100).contains(&hits),
            "{hits}"
        );
        let mut next = requests.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{rules} rules, 10 % misses"), |b| {
            b.iter(|| {
                let Some((method, path)) = next.next() else {
                    return;
                };
                let mut captures = Captures::default();
                black_box(router.find(None, black_box(path), method, false, &mut captures));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, find);
criterion_main!(benches);
