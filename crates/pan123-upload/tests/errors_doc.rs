//! `docs/errors.md` and its Chinese twin list exactly what the code has: every exit code, every kind
//! with its exit code, every class with its kind, and the advice word by word.

use std::{collections::BTreeSet, fs, path::Path};

use pan123_proto::{Class, Endpoint, Failure, advice};
use pan123_upload::{Error, ErrorKind};

/// The rows of the table whose header starts with `| {first} |`, as cells.
fn table(document: &str, first: &str) -> Vec<Vec<String>> {
    let head = format!("| {first} |");
    let mut lines = document.lines().skip_while(|line| !line.starts_with(&head));
    let columns =
        lines.next().unwrap_or_else(|| panic!("no table starts with {head:?}")).matches('|').count() - 1;
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|line| {
        // `\|` is a bar inside a cell.
        let line = line.replace("\\|", "\u{0}");
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|")).collect::<Vec<_>>()
    });
    let rows = rows.collect::<Vec<_>>();
    for row in &rows {
        assert_eq!(row.len(), columns, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
    rows
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn kind_of(class: Class) -> ErrorKind {
    Error::from(Failure::local(Endpoint::Slice, class, "")).kind()
}

#[track_caller]
fn check(name: &str, heads: [&str; 3], passes: [&str; 2]) {
    let document = read(name);
    let [codes_head, kinds_head, classes_head] = heads;

    let codes = table(&document, codes_head).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let known = ErrorKind::ALL.map(ErrorKind::exit_code).into_iter().chain([0]).collect::<BTreeSet<_>>();
    assert_eq!(codes, known.iter().map(u8::to_string).collect::<Vec<_>>(), "exit codes of {name}");

    let kinds = table(&document, kinds_head).into_iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>();
    let known = ErrorKind::ALL.map(|kind| {
        let passes = passes[usize::from(!kind.is_transient())].to_owned();
        vec![kind.as_str().to_owned(), kind.exit_code().to_string(), passes]
    });
    assert_eq!(kinds, known, "kinds of {name}");

    let classes = table(&document, classes_head).into_iter().map(|row| row[..2].to_vec()).collect::<Vec<_>>();
    let known = Class::ALL.map(|class| vec![class.as_str().to_owned(), kind_of(class).as_str().to_owned()]);
    assert_eq!(classes, known, "classes of {name}");
}

#[test]
fn the_english_list_is_that_of_the_code() {
    check("errors.md", ["exit code", "kind", "class"], ["yes", "no"]);
}

#[test]
fn the_chinese_list_is_that_of_the_code() {
    check("errors.zh-CN.md", ["退出码", "种类", "类别"], ["是", "否"]);
}

#[test]
fn the_advice_is_that_of_the_code() {
    for row in table(&read("errors.md"), "class") {
        let class = Class::ALL.into_iter().find(|class| class.as_str() == row[0]).expect("a class");
        let sentences = Endpoint::ALL.map(|endpoint| advice(class, endpoint));
        let sentences = sentences.into_iter().collect::<BTreeSet<_>>();
        let mut rest = row[3].clone();
        for sentence in &sentences {
            assert!(rest.contains(sentence), "{class:?} lacks {sentence:?}");
            rest = rest.replace(sentence, "");
        }
        let labels = rest.split_whitespace().all(|word| word.ends_with([':', ',']));
        assert!(
            labels && (sentences.len() > 1 || rest.is_empty()),
            "{class:?} says more than the code: {rest:?}"
        );
    }
}
