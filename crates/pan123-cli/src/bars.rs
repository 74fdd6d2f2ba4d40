//! One line on a terminal for one upload: what is hashed, sent and acknowledged, and how fast.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use pan123_upload::{Progress, proto::machine::Stage};

/// Characters of a bar, and of the name in front of it.
const BAR_CHARS: u64 = 28;
const NAME_CHARS: usize = 24;

/// Speed is measured over this long: an acknowledgement comes for a whole slice at a time.
const WINDOW: Duration = Duration::from_secs(10);

/// The line of an upload. It goes when this is dropped.
pub(crate) struct Bar {
    line: ProgressBar,
    shown: Arc<Mutex<Option<Progress>>>,
    hashed: Speed,
    acknowledged: Speed,
}

impl Bar {
    pub(crate) fn new(bars: &MultiProgress, name: &str) -> Self {
        let shown = Arc::<Mutex<Option<Progress>>>::default();
        let drawn = shown.clone();
        let style = ProgressStyle::with_template("{prefix} {three} {wide_msg}")
            .expect("a constant template")
            .with_key("three", move |_: &_, out: &mut dyn std::fmt::Write| {
                let progress = *drawn.lock().unwrap_or_else(PoisonError::into_inner);
                // A line that cannot be formatted is not drawn; there is nothing else to do about it.
                let _ = out.write_str(&progress.map(draw).unwrap_or_default());
            });
        let line = bars.add(ProgressBar::new_spinner()).with_style(style).with_prefix(fit(name));
        Self { line, shown, hashed: Speed::default(), acknowledged: Speed::default() }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        self.hashed.add(now, progress.bytes_hashed);
        self.acknowledged.add(now, progress.bytes_acknowledged);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        self.line.set_message(self.words(&progress));
        self.line.tick();
    }

    fn words(&self, progress: &Progress) -> String {
        let speed =
            |speed: Option<u64>| speed.map_or(String::new(), |speed| format!(", {}/s", HumanBytes(speed)));
        let total = HumanBytes(progress.bytes_total);
        match progress.stage {
            Stage::Hashing => {
                format!(
                    "hashing: {} of {total}{}",
                    HumanBytes(progress.bytes_hashed),
                    speed(self.hashed.per_sec())
                )
            }
            Stage::Creating => "asking the service".to_owned(),
            Stage::Sending => {
                let left = progress.bytes_total - progress.bytes_acknowledged;
                let rate = self.acknowledged.per_sec();
                let eta = rate.filter(|&rate| rate > 0).map_or(String::new(), |rate| {
                    format!(", {} left", HumanDuration(Duration::from_secs(left.div_ceil(rate))))
                });
                format!("{} of {total}{}{eta}", HumanBytes(progress.bytes_acknowledged), speed(rate))
            }
            Stage::Completing => "all is sent; the service is checking the file".to_owned(),
            Stage::Done => "done".to_owned(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

/// `█` acknowledged, `▓` sent, `░` hashed.
fn draw(progress: Progress) -> String {
    let chars = |bytes: u64| {
        // A file of 10 GiB times 28 is far from overflow; an empty one never gets here.
        usize::try_from(bytes * BAR_CHARS / progress.bytes_total.max(1)).unwrap_or_default()
    };
    let (acknowledged, sent, hashed) =
        (chars(progress.bytes_acknowledged), chars(progress.bytes_sent), chars(progress.bytes_hashed));
    let bar = |mark: &str, to: usize, from: usize| mark.repeat(to.saturating_sub(from));
    let all = usize::try_from(BAR_CHARS).unwrap_or_default();
    [
        bar("█", acknowledged, 0),
        bar("▓", sent, acknowledged),
        bar("░", hashed, sent.max(acknowledged)),
        bar("·", all, hashed.max(sent).max(acknowledged)),
    ]
    .concat()
}

/// The name in its column: its end, if it is too long for it.
fn fit(name: &str) -> String {
    let chars = name.chars().count();
    if chars <= NAME_CHARS {
        return format!("{name:<NAME_CHARS$}");
    }
    format!("…{}", name.chars().skip(chars + 1 - NAME_CHARS).collect::<String>())
}

/// Bytes a second over the last seconds.
#[derive(Default)]
struct Speed(VecDeque<(Instant, u64)>);

impl Speed {
    fn add(&mut self, now: Instant, bytes: u64) {
        self.0.push_back((now, bytes));
        while self.0.len() > 2 && now - self.0[1].0 >= WINDOW {
            self.0.pop_front();
        }
    }

    /// `None` until something has moved.
    fn per_sec(&self) -> Option<u64> {
        let ((start, first), (end, last)) = (self.0.front()?, self.0.back()?);
        let moved = last.saturating_sub(*first);
        let time = end.duration_since(*start).as_secs_f64();
        (moved > 0 && time > 0.0).then(|| (moved as f64 / time) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(hashed: u64, sent: u64, acknowledged: u64) -> Progress {
        Progress {
            stage: Stage::Sending,
            bytes_total: 28,
            bytes_hashed: hashed,
            bytes_sent: sent,
            bytes_acknowledged: acknowledged,
            slices_done: 0,
            slices_total: 0,
            retries: 0,
        }
    }

    #[test]
    fn a_bar_shows_three_figures_and_keeps_its_width() {
        assert_eq!(draw(progress(0, 0, 0)), "·".repeat(28));
        assert_eq!(draw(progress(7, 0, 0)), format!("{}{}", "░".repeat(7), "·".repeat(21)));
        let some = format!("{}{}{}", "█".repeat(14), "▓".repeat(7), "░".repeat(7));
        assert_eq!(draw(progress(28, 21, 14)), some);
        assert_eq!(draw(progress(28, 28, 28)), "█".repeat(28));
        let empty = Progress { bytes_total: 0, ..progress(0, 0, 0) };
        assert_eq!(draw(empty).chars().count(), 28);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(fit("a.txt").chars().count(), NAME_CHARS);
        let long = fit("目录/很长的名字/abcdefghijklmnopqrstuvwxyz.txt");
        assert_eq!((long.chars().count(), long.ends_with("xyz.txt")), (NAME_CHARS, true));
    }

    #[test]
    fn speed_forgets_what_was_long_ago() {
        let (start, mut speed) = (Instant::now(), Speed::default());
        let mut at = |secs: u64, bytes: u64| {
            speed.add(start + Duration::from_secs(secs), bytes);
            speed.per_sec()
        };
        assert_eq!(at(0, 0), None);
        assert_eq!(at(5, 0), None);
        assert_eq!(at(10, 1000), Some(100));
        assert_eq!(at(20, 1000), None, "nothing moved in the last ten seconds");
        assert_eq!(at(25, 4000), Some(200));
    }
}
