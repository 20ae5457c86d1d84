//! JSON text, written and read, by what an API sends. The part without an interpreter; with one,
//! `tests/python/performance/test_json_speed.py` measures.

use std::hint::black_box;

use bustapi_core::json::number::scan_number;
use bustapi_core::json::unescape::{Scratch, scan_string};
use bustapi_core::json::writer::Writer;
use bustapi_core::json::{Short, Text, Word};
use criterion::{Criterion, criterion_group, criterion_main};

fn write(c: &mut Criterion, name: &str, fill: impl Fn(&mut Writer)) {
    let mut buffer = Vec::new();
    c.bench_function(&format!("write {name}"), |b| {
        b.iter(|| {
            let mut writer = Writer::new(std::mem::take(&mut buffer));
            fill(&mut writer);
            black_box(writer.written());
            buffer = writer.into_buffer();
        });
    });
}

fn writing(c: &mut Criterion) {
    write(c, "hello", |writer| {
        writer.open(b'{');
        writer.key(Short::new(black_box(b"message")));
        writer.short(Short::new(black_box(b"Hello, World!")));
        writer.close(b'}');
    });
    write(c, "100 records", |writer| {
        writer.open(b'[');
        for id in 0..100 {
            writer.open(b'{');
            writer.key(Short::new(black_box(b"done")));
            writer.word(if id % 3 == 0 { Word::True } else { Word::False });
            writer.key(Short::new(black_box(b"id")));
            writer.int(black_box(id));
            writer.key(Short::new(black_box(b"price")));
            writer.float(black_box(id as f64 / 100.0));
            writer.close(b'}');
        }
        writer.close(b']');
    });
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(200);
    write(c, "9 kB of ASCII", |writer| {
        writer.short(Short::new(long.as_bytes()))
    });
    let escaped = "say \"hello\" to \\\n every \t line\r\n".repeat(250);
    write(c, "8 kB with escapes", |writer| {
        writer.short(Short::new(escaped.as_bytes()))
    });
    let wide: Vec<u16> = "日本語のテキスト"
        .encode_utf16()
        .cycle()
        .take(4000)
        .collect();
    write(c, "4000 wide characters", |writer| {
        writer.text(Text::Two(&wide))
    });
}

fn read(c: &mut Criterion, name: &str, literal: &str) {
    let mut scratch = Scratch::default();
    c.bench_function(&format!("read {name}"), |b| {
        b.iter(|| black_box(scan_string(black_box(literal.as_bytes()), &mut scratch)).is_some());
    });
}

fn reading(c: &mut Criterion) {
    read(c, "a word", "springfield\", \"state\": \"");
    read(
        c,
        "9 kB of ASCII",
        &("a quick brown fox ".repeat(500) + "\""),
    );
    read(
        c,
        "8 kB with escapes",
        &("say \\\"hello\\\" to every line\\r\\n".repeat(250) + "\""),
    );
    read(
        c,
        "4000 escaped wide characters",
        &("\\u65e5\\u672c".repeat(2000) + "\""),
    );
    for number in [
        "7",
        "1234567890",
        "19.99",
        "-841.4709848078965",
        "1.7976931348623157e308",
    ] {
        c.bench_function(&format!("read {number}"), |b| {
            b.iter(|| black_box(scan_number(black_box(number.as_bytes()))).is_some());
        });
    }
}

criterion_group!(benches, writing, reading);
criterion_main!(benches);
