//! The examples that send one slice: each sends all slices of a file, one after another, and the service has the file.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{
    kit::{Kit, fresh, words},
    languages::Program,
};
use crate::serve::Serve;

const TOKEN: &str = "example-token-marker";
const SLICE_BYTES: usize = 1 << 20;
/// Two slices and a bit.
const FILE_BYTES: usize = 2 * SLICE_BYTES + 12_345;

/// What `pan123 create --json` says.
#[derive(Deserialize)]
struct Created {
    preupload_id: String,
    servers: Vec<String>,
}

/// Runs one language's example.
pub(super) fn check(kit: &Kit, example: &Program) -> anyhow::Result<()> {
    let folder = kit.folder.join("example");
    fresh(&folder)?;
    let (drive, log) = (folder.join("drive"), folder.join("log.jsonl"));
    let log_path = log.to_str().context("the target folder's name is not UTF-8")?;
    let slice_size = SLICE_BYTES.to_string();
    let arguments = ["--servers", "2", "--slice-size", &slice_size, "--log", log_path];
    let serve = Serve::start(&kit.workspace, &kit.pan123, TOKEN, &drive, &arguments)?;

    let bytes = random_bytes(FILE_BYTES);
    let file = folder.join("local");
    fs::write(&file, &bytes)?;
    let created = create(kit, &serve, &file, &folder)?;
    let server = created.servers.first().context("create names no upload host")?;
    let slice = |number: &str, file: &Path, range: &[String], token: &str| -> Command {
        let mut command = example(kit);
        command.args([server, &created.preupload_id, number]).arg(file).args(range);
        command.env("PAN123_ACCESS_TOKEN", token).env("PAN123_BASE_URL", &serve.url);
        command
    };

    // What fails says why, does not say the token, and does not end as if it were good.
    let mut refused = slice("1", &file, &range(0, SLICE_BYTES), "wrong-token-marker");
    match kit.sh(&mut refused, 2) {
        Ok(said) => bail!("{} took a wrong token and said {said}", words(&refused)),
        Err(error) => {
            // Its first line is ours.
            let said = format!("{error}");
            if said.contains("wrong-token-marker") || said.trim().lines().count() < 2 {
                bail!("it says what it should not, or nothing: {said}");
            }
        }
    }
    // The first by its place in the file, the last as a file of its own.
    let last = folder.join("last");
    fs::write(&last, &bytes[2 * SLICE_BYTES..])?;
    let slices = [
        ("1", &file, range(0, SLICE_BYTES)),
        ("2", &file, range(SLICE_BYTES, SLICE_BYTES)),
        ("3", &last, Vec::new()),
    ];
    for (number, file, range) in slices {
        let mut command = slice(number, file, &range, TOKEN);
        let said = kit.sh(&mut command, 2)?;
        if said.trim() != format!("slice {number} ok") {
            bail!("{} said {said:?}", words(&command));
        }
    }

    let mut complete = pan123(kit, &serve, &folder);
    kit.sh(complete.args(["complete", &created.preupload_id]), 1)?;
    if fs::read(drive.join("files/local"))? != bytes {
        bail!("the service has other bytes");
    }
    serve.stop()?;
    let sent = fs::read_to_string(&log)?.lines().filter(|line| is_good_slice(line)).count();
    if sent != 3 {
        bail!("{sent} slices were sent, and not 3");
    }
    Ok(())
}

fn range(offset: usize, length: usize) -> Vec<String> {
    vec![offset.to_string(), length.to_string()]
}

fn is_good_slice(line: &str) -> bool {
    line.contains(r#""endpoint":"slice""#) && line.contains(r#""code":0,"#)
}

fn pan123(kit: &Kit, serve: &Serve, folder: &Path) -> Command {
    let mut command = kit.command(&kit.pan123);
    command
        .env("PAN123_BASE_URL", &serve.url)
        .env("PAN123_ACCESS_TOKEN", TOKEN)
        .env("PAN123_STATE_DIR", folder.join("state"));
    command
}

fn create(kit: &Kit, serve: &Serve, file: &Path, folder: &Path) -> anyhow::Result<Created> {
    let mut command = pan123(kit, serve, folder);
    let said = kit.sh(command.args(["create", "--json"]).arg(file), 1)?;
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("{} said {said:?}", words(&command)))
}

/// The same each time, and no two slices alike.
fn random_bytes(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}
