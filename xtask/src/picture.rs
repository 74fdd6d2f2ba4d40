//! `cargo xtask picture`: the recording of the program at work that the README shows.
//!
//! The real program runs in a terminal that `script` makes; a terminal emulator replays what it wrote,
//! and the screens become the frames of an SVG. A viewer that shows no animation shows the last one.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    num::NonZeroU16,
    time::Duration,
};

use anyhow::{Context, bail};
use vt100::{Cell, Color, Parser, Screen};

use crate::{process, workspace::Workspace};

const COLUMNS: NonZeroU16 = NonZeroU16::new(108).expect("not 0");
const ROWS: NonZeroU16 = NonZeroU16::new(30).expect("not 0");
/// Large enough to see the bar move.
const FILE_BYTES: u64 = 400 << 20;
const FILE_NAME: &str = "film.mkv";
const COMMAND: &str = "pan123 upload film.mkv --local";
/// Frames closer together than this are one.
const FRAME: f64 = 0.15;
/// How long the last frame stays before it all starts over.
const LAST: f64 = 5.0;

/// Pixels of a character cell.
const CELL: (f64, f64) = (8.0, 17.0);
const MARGIN: f64 = 14.0;
const FOREGROUND: &str = "#d8dee9";
const BACKGROUND: &str = "#1e222a";
/// The terminal's sixteen colours.
const COLORS: [&str; 16] = [
    "#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9", //
    "#7b8394", "#ef7f88", "#a9d68a", "#f0cd8a", "#74bfff", "#d68aed", "#67c9d5", "#ffffff",
];

/// Records the program and writes `docs/terminal.svg`.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let folder = workspace.scratch().join("picture");
    let logs = workspace.scratch().join("logs");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;

    let mut build = workspace.cargo();
    build.args(["build", "--release", "--bin", "pan123"]);
    let built = process::run(&mut build, Duration::from_secs(1800), &logs.join("picture-build.log"))?;
    if !built.success() {
        bail!("{build:?}: {}\n{}", built.verdict(), built.output);
    }
    let mut film = File::create(folder.join(FILE_NAME))?;
    io::copy(&mut File::open("/dev/urandom")?.take(FILE_BYTES), &mut film)?;

    let path = std::env::var("PATH").context("PATH")?;
    let mut script = workspace.command("script");
    script
        .current_dir(&folder)
        .args(["--quiet", "--return", "--log-out", "out", "--log-timing", "timing", "--command"])
        .arg(format!("stty cols {COLUMNS} rows {ROWS}; {COMMAND}"))
        .env("PATH", format!("{}:{path}", workspace.target.join("release").display()))
        // Short, for the program shows where the emulator keeps the file.
        .env("PAN123_STATE_DIR", "state")
        .env("TERM", "xterm-256color")
        .env_remove("PAN123_BASE_URL");
    let finished = process::run(&mut script, Duration::from_secs(300), &logs.join("picture.log"))?;
    fs::remove_file(folder.join(FILE_NAME))?;
    if !finished.success() {
        bail!("{COMMAND}: {}\n{}", finished.verdict(), finished.output);
    }

    let frames = frames(&fs::read(folder.join("out"))?, &fs::read_to_string(folder.join("timing"))?)?;
    let picture = workspace.root.join("docs/terminal.svg");
    fs::write(&picture, svg(&frames)).with_context(|| format!("write {}", picture.display()))?;
    println!("{} frames in {}", frames.len(), picture.display());
    Ok(())
}

/// What the screen showed from a moment on, in seconds since the start.
struct Frame {
    from: f64,
    screen: Screen,
}

/// Replays a recording of `script`: the output, and a file of lines `SECONDS_WAITED BYTES_THEN`.
fn frames(out: &[u8], timing: &str) -> anyhow::Result<Vec<Frame>> {
    let mut parser = Parser::new(ROWS, COLUMNS, 0);
    parser.process(format!("\x1b[1;32m$\x1b[0m {COMMAND}\r\n").as_bytes());
    let mut frames = vec![Frame { from: 0.0, screen: parser.screen().clone() }];

    // The first line is `script`'s own.
    let mut rest = out.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default();
    let mut now = 0.0;
    for line in timing.lines() {
        let (wait, bytes) = line.split_once(' ').with_context(|| format!("timing line {line:?}"))?;
        now += wait.parse::<f64>()?;
        let (chunk, after) = rest.split_at(bytes.parse::<usize>()?.min(rest.len()));
        rest = after;
        parser.process(chunk);
        match frames.last_mut() {
            Some(last) if last.screen.contents_formatted() == parser.screen().contents_formatted() => {}
            Some(last) if now - last.from < FRAME && last.from > 0.0 => last.screen = parser.screen().clone(),
            _ => frames.push(Frame { from: now, screen: parser.screen().clone() }),
        }
    }
    Ok(frames)
}

/// Draws the frames, one at a time.
fn svg(frames: &[Frame]) -> String {
    let rows = frames.iter().map(|frame| used_rows(&frame.screen)).max().unwrap_or(1);
    let width = f64::from(COLUMNS.get()) * CELL.0 + 2.0 * MARGIN;
    let height = f64::from(rows) * CELL.1 + 2.0 * MARGIN;
    let total = frames.last().map_or(0.0, |frame| frame.from) + LAST;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"13\" fill=\"{FOREGROUND}\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n",
        escape(COMMAND)
    );
    let mut drawings = String::new();
    let mut style = String::new();
    let last = frames.len() - 1;
    for (index, frame) in frames.iter().enumerate() {
        let until = frames.get(index + 1).map_or(total, |next| next.from);
        let percent = |seconds: f64| seconds / total * 100.0;
        let hidden = if index == last { "" } else { " visibility=\"hidden\"" };
        let _ = writeln!(drawings, "<g class=\"f{index}\"{hidden}>\n{}</g>", rows_of(&frame.screen, rows));
        // Steps, so that a frame appears and goes without fading.
        let _ = writeln!(
            style,
            "@keyframes f{index}{{0%{{visibility:{}}}{:.3}%{{visibility:visible}}{:.3}%,100%{{visibility:{}}}}}\
             .f{index}{{animation:f{index} {total:.2}s step-end infinite}}",
            if index == 0 { "visible" } else { "hidden" },
            percent(frame.from),
            percent(until),
            if index == last { "visible" } else { "hidden" },
        );
    }
    let _ = write!(svg, "<style>\n{style}</style>\n{drawings}</svg>\n");
    svg
}

fn used_rows(screen: &Screen) -> u16 {
    let empty = |row: u16| {
        (0..COLUMNS.get()).all(|column| screen.cell(row, column).is_none_or(|cell| !cell.has_contents()))
    };
    (0..ROWS.get()).rev().find(|row| !empty(*row)).map_or(1, |row| row + 1)
}

/// The text of a screen, as runs of cells of one style.
fn rows_of(screen: &Screen, rows: u16) -> String {
    let mut drawing = String::new();
    for row in 0..rows {
        let cells: Vec<(u16, &Cell)> = (0..COLUMNS.get())
            .filter_map(|column| screen.cell(row, column).map(|cell| (column, cell)))
            .filter(|(_, cell)| cell.has_contents() && cell.contents() != " ")
            .collect();
        for run in
            cells.chunk_by(|(a, left), (b, right)| a + width(left) == *b && style_of(left) == style_of(right))
        {
            let [(column, first), ..] = run else { continue };
            let text: String = run.iter().map(|(_, cell)| cell.contents()).collect();
            let columns: u16 = run.iter().map(|(_, cell)| width(cell)).sum();
            let _ = writeln!(
                drawing,
                "<text x=\"{}\" y=\"{}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"{}>{}</text>",
                MARGIN + f64::from(*column) * CELL.0,
                MARGIN + f64::from(row) * CELL.1 + 13.0,
                f64::from(columns) * CELL.0,
                style_of(first),
                escape(&text),
            );
        }
    }
    drawing
}

fn width(cell: &Cell) -> u16 {
    if cell.is_wide() { 2 } else { 1 }
}

/// The SVG attributes of a cell's colour and weight.
fn style_of(cell: &Cell) -> String {
    let mut style = match cell.fgcolor() {
        Color::Default => String::new(),
        Color::Rgb(red, green, blue) => format!(" fill=\"#{red:02x}{green:02x}{blue:02x}\""),
        Color::Idx(index) => format!(" fill=\"{}\"", indexed(index)),
    };
    if cell.bold() {
        style += " font-weight=\"bold\"";
    }
    if cell.dim() {
        style += " opacity=\"0.6\"";
    }
    style
}

/// A colour of the 256: the terminal's own sixteen, a cube of six levels each, and greys.
fn indexed(index: u8) -> String {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        0..=15 => COLORS[usize::from(index)].to_owned(),
        16..=231 => {
            let cube = index - 16;
            format!("#{:02x}{:02x}{:02x}", level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_becomes_frames_with_colours_and_the_last_one_stays() {
        let out = "Script started\n\x1b[31m50 %\x1b[0m\r\x1b[1m100 %\x1b[0m a<b 文件".as_bytes();
        let first = "\x1b[31m50 %\x1b[0m".len();
        let rest = out.len() - first - "Script started\n".len();
        let frames = frames(out, &format!("0.5 {first}\n1.5 {rest}\n")).unwrap();
        assert_eq!(frames.iter().map(|frame| frame.from).collect::<Vec<_>>(), [0.0, 0.5, 2.0]);

        let svg = svg(&frames);
        assert!(svg.contains(" fill=\"#e06c75\">50</text>"), "{svg}");
        assert!(svg.contains(" font-weight=\"bold\">100</text>"), "{svg}");
        assert!(svg.contains(">a&lt;b</text>") && svg.contains("textLength=\"32\""), "{svg}");
        assert_eq!(svg.matches("visibility=\"hidden\"").count(), 2, "all but the last: {svg}");
    }

    #[test]
    fn the_colour_cube_and_the_greys_are_where_terminals_have_them() {
        assert_eq!(indexed(9), COLORS[9]);
        assert_eq!(indexed(196), "#ff0000");
        assert_eq!(indexed(21), "#0000ff");
        assert_eq!(indexed(255), "#eeeeee");
    }
}
