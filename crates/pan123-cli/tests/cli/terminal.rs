//! What the program draws on a terminal.

use std::{fs::File, io::Read, os::fd::OwnedFd, process::Stdio};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::support::{Bench, SLICE, bytes};

/// A terminal of 100 columns: our end, and the one for the program.
fn terminal() -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    tcsetwinsize(&theirs, Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    (ours, theirs.into())
}

/// Runs the program with stderr on a terminal; returns what was drawn on it.
fn drawn(bench: &Bench, args: &[&str]) -> String {
    let (ours, theirs) = terminal();
    let mut command = bench.command(args.iter().copied());
    command.env("TERM", "xterm-256color").stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The last holder of the other end must be the program, or the reading below never ends.
    drop(command);
    let mut bytes = Vec::new();
    // Ends with an error when the other end is closed.
    let _ = File::from(ours).read_to_end(&mut bytes);
    assert!(child.wait().unwrap().success());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn bars_show_what_is_acknowledged_and_never_go_back() {
    let bench = Bench::with_faults(r#"{"behaviour": {"total_bytes_per_sec": 20000}}"#);
    bench.file("film.mkv", bytes(14 * SLICE));
    let drawn = drawn(&bench, &["upload", "film.mkv", "--parallel", "2"]);
    let bars: Vec<&str> = drawn.split(['\r', '\n']).filter(|line| line.contains("film.mkv")).collect();
    let filled = |mark: char| bars.iter().map(|bar| bar.matches(mark).count()).collect::<Vec<_>>();
    assert!(bars.len() > 3, "{drawn:?}");
    assert!(filled('█').is_sorted(), "{:?}", filled('█'));
    assert!(
        filled('█').iter().any(|&chars| 0 < chars && chars < 28),
        "a half-way state was drawn: {drawn:?}"
    );
    assert!(drawn.contains("/s"), "a speed is shown: {drawn:?}");
}

#[test]
fn with_json_nothing_is_drawn() {
    let bench = Bench::new();
    bench.file("f", bytes(3 * SLICE));
    assert_eq!(drawn(&bench, &["upload", "f", "--json"]), "");
}
