//! What came of the scenarios, and the tables in `docs/bindings.md`.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::LANGUAGES;
use crate::workspace::Workspace;

/// Where the tables are.
const GUIDE: &str = "docs/bindings.md";
const BEGIN: &str =
    "<!-- Made by `cargo xtask bindings --write` from bindings/scenarios.json and the tests' results. -->\n";
const END: &str = "<!-- End of what is made. -->";

/// One thing that every binding is tried with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) id: String,
    title: String,
    setup: String,
    holds: String,
}

/// What came of one scenario in one language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Passed,
    /// Why the binding does not have it.
    Unsupported(String),
}

impl Outcome {
    pub(super) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

/// By the scenario's id.
pub(super) type Outcomes = BTreeMap<String, Outcome>;

/// The master table.
pub(super) fn scenarios(workspace: &Workspace) -> anyhow::Result<Vec<Scenario>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Master {
        #[serde(rename = "about")]
        _about: String,
        scenarios: Vec<Scenario>,
    }
    let path = workspace.root.join("bindings/scenarios.json");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(serde_json::from_str::<Master>(&text).with_context(|| format!("{}", path.display()))?.scenarios)
}

/// What the tests of a language have written: each scenario at least once, and none that failed.
pub(super) fn read(path: &Path, language: &str, scenarios: &[Scenario]) -> anyhow::Result<Outcomes> {
    let text = fs::read_to_string(path).with_context(|| format!("the tests wrote no {}", path.display()))?;
    outcomes(&text, language, scenarios)
}

fn outcomes(text: &str, language: &str, scenarios: &[Scenario]) -> anyhow::Result<Outcomes> {
    #[derive(Deserialize)]
    struct Line<'a> {
        binding: &'a str,
        scenario: &'a str,
        result: &'a str,
        what: String,
    }
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let Line { binding, scenario, result, what } =
            serde_json::from_str(line).with_context(|| format!("result {line:?}"))?;
        if binding != language || !scenarios.iter().any(|known| known.id == scenario) {
            bail!("no scenario {scenario:?} of {binding:?} belongs here: {line}");
        }
        let outcome = match result {
            "passed" => Outcome::Passed,
            "unsupported" if !what.is_empty() => Outcome::Unsupported(what),
            _ => bail!("{scenario}: {line}"),
        };
        // Tests that run several times have to come to the same.
        if outcomes.insert(scenario.to_owned(), outcome.clone()).is_some_and(|before| before != outcome) {
            bail!("{scenario} came out in two ways: {line}");
        }
    }
    let missing: Vec<&str> =
        scenarios.iter().map(|known| known.id.as_str()).filter(|id| !outcomes.contains_key(*id)).collect();
    if !missing.is_empty() {
        bail!("scenarios that did not run: {}", missing.join(", "));
    }
    Ok(outcomes)
}

/// The guide as it is, and as it should be.
pub(super) struct Matrix {
    path: std::path::PathBuf,
    before: String,
    after: String,
}

impl Matrix {
    /// From what came out now, and for languages that did not run, from what the guide says.
    pub(super) fn of(
        workspace: &Workspace,
        scenarios: &[Scenario],
        ran: Vec<(&'static str, Outcomes)>,
    ) -> anyhow::Result<Self> {
        let path = workspace.root.join(GUIDE);
        let before = fs::read_to_string(&path).with_context(|| format!("read {GUIDE}"))?;
        let (head, rest) =
            before.split_once(BEGIN).with_context(|| format!("{GUIDE} has no line {BEGIN}"))?;
        let (block, tail) = rest.split_once(END).with_context(|| format!("{GUIDE} has no line {END}"))?;
        let mut all = parse(block, scenarios);
        all.extend(ran);
        let after = format!("{head}{BEGIN}{}{END}{tail}", render(scenarios, &all));
        Ok(Self { path, before, after })
    }

    /// Writes the guide, or fails if that would change it.
    pub(super) fn settle(&self, write: bool) -> anyhow::Result<()> {
        if self.before == self.after {
            println!("{GUIDE} says what came out");
        } else if write {
            fs::write(&self.path, &self.after).with_context(|| format!("write {GUIDE}"))?;
            println!("written to {GUIDE}");
        } else {
            let lines = self.after.lines().filter(|line| !self.before.lines().any(|known| known == *line));
            let lines: Vec<&str> = lines.collect();
            bail!("{GUIDE} does not have\n{}\n`cargo xtask bindings --write` writes it", lines.join("\n"));
        }
        Ok(())
    }
}

/// The tables: what came out, why not, and what the scenarios are.
fn render(scenarios: &[Scenario], all: &BTreeMap<&'static str, Outcomes>) -> String {
    let columns: Vec<&str> =
        LANGUAGES.iter().map(|language| language.title).filter(|title| all.contains_key(title)).collect();
    let mut text = format!("| | {} |\n|---{}|\n", columns.join(" | "), "|---".repeat(columns.len()));
    let mut reasons = String::new();
    for Scenario { id, title, .. } in scenarios {
        let _ = write!(text, "| {title} |");
        for column in &columns {
            let cell = match all[column].get(id) {
                Some(Outcome::Passed) => "yes",
                Some(Outcome::Unsupported(why)) => {
                    let _ = writeln!(reasons, "- {column}, {title}: {why}");
                    "no"
                }
                None => "",
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    let _ = write!(text, "\n{reasons}{}", if reasons.is_empty() { "" } else { "\n" });
    text.push_str("| scenario | set-up | must hold |\n|---|---|---|\n");
    for Scenario { title, setup, holds, .. } in scenarios {
        let _ = writeln!(text, "| {title} | {setup} | {holds} |");
    }
    text
}

/// Reads what [`render`] wrote.
fn parse(block: &str, scenarios: &[Scenario]) -> BTreeMap<&'static str, Outcomes> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut rows = block.lines().take_while(|line| line.starts_with('|')).map(cells);
    let head = rows.next().unwrap_or_default();
    let rows: Vec<Vec<String>> = rows.collect();
    let mut all = BTreeMap::new();
    for language in LANGUAGES {
        let Some(column) = head.iter().position(|title| title == language.title) else { continue };
        let mut outcomes = Outcomes::new();
        for Scenario { id, title, .. } in scenarios {
            let why = format!("- {}, {title}: ", language.title);
            let row = rows.iter().find(|row| row[0] == *title);
            let outcome = match row.and_then(|row| row.get(column)).map(String::as_str) {
                Some("yes") => Outcome::Passed,
                Some("no") => {
                    let why = block.lines().find_map(|line| line.strip_prefix(&why));
                    Outcome::Unsupported(why.unwrap_or_default().to_owned())
                }
                _ => continue,
            };
            outcomes.insert(id.clone(), outcome);
        }
        all.insert(language.title, outcomes);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<Scenario> {
        let scenario = |id: &str, title: &str| Scenario {
            id: id.into(),
            title: title.into(),
            setup: "A file.".into(),
            holds: "It is there.".into(),
        };
        vec![scenario("upload", "Upload"), scenario("cancel", "Cancel")]
    }

    fn line(scenario: &str, result: &str, what: &str) -> String {
        format!(
            "{{\"binding\":\"c\",\"scenario\":\"{scenario}\",\"result\":\"{result}\",\"what\":\"{what}\"}}\n"
        )
    }

    #[test]
    fn every_scenario_has_to_have_run_and_none_may_have_failed() {
        let upload = line("upload", "passed", "");
        let said = |text: String| match outcomes(&text, "c", &two()) {
            Ok(outcomes) => format!("{outcomes:?}"),
            Err(error) => format!("{error:#}"),
        };
        assert!(said(upload.clone()).contains("did not run: cancel"));
        assert!(said(upload.clone() + &line("cancel", "failed", "251 ms")).contains("251 ms"));
        assert!(said(upload.clone() + &line("cancel", "unsupported", "")).contains("unsupported"));
        assert!(said(upload.clone() + &line("fly", "passed", "")).contains("no scenario \"fly\""));
        assert!(said(upload.clone() + &line("upload", "unsupported", "no")).contains("in two ways"));
        assert!(outcomes(&(upload + &line("cancel", "passed", "3 ms")), "c", &two()).is_ok());
        assert!(outcomes(&line("upload", "passed", ""), "go", &two()).is_err());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let outcomes =
            |cancel| Outcomes::from([("upload".to_owned(), Outcome::Passed), ("cancel".to_owned(), cancel)]);
        let all = BTreeMap::from([
            ("C", outcomes(Outcome::Passed)),
            ("Python", outcomes(Outcome::Unsupported("not: yet".to_owned()))),
        ]);
        let text = render(&two(), &all);
        assert!(
            text.starts_with(
                "| | C | Python |\n|---|---|---|\n| Upload | yes | yes |\n| Cancel | yes | no |\n"
            )
        );
        assert!(text.contains("\n- Python, Cancel: not: yet\n"), "{text}");
        assert_eq!(parse(&text, &two()), all);
    }
}
