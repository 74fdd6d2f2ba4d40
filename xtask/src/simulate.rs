//! `cargo xtask simulate`: the upload state machine in virtual time.

use std::{
    fmt::Write as _,
    fs,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use pan123_proto::machine::{FailedKind, Policy};
use pan123_sim::{
    Cell, Contender, End, Limits, Machine, Scenario, Shape, Story, World, measure, mixed_sizes, random, run,
    workload,
};

use crate::workspace::Workspace;

/// What `cargo xtask simulate` can be told. Without options it prints the tables of docs/reliability.md.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Put the tables into docs/reliability.md
    #[arg(long)]
    write: bool,
    /// The table of a million files instead of those of goodput; takes some minutes
    #[arg(long)]
    scale: bool,
    /// Run so many random schedules of faults instead, and check that every property holds
    #[arg(long, value_name = "COUNT", conflicts_with = "write")]
    schedules: Option<u64>,
    /// Seed of the first schedule
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first: u64,
    /// Run one random schedule and print everything that happens in it
    #[arg(long, value_name = "SEED", conflicts_with_all = ["write", "schedules"])]
    seed: Option<u64>,
}

/// Runs the simulations asked for.
pub(crate) fn run_task(options: &Options) -> anyhow::Result<()> {
    if let Some(seed) = options.seed {
        return one(seed);
    }
    if let Some(count) = options.schedules {
        return schedules(options.first, count);
    }
    let tables = match options.scale {
        true => vec![("scale", scale_table())],
        false => vec![("goodput", goodput_table(&LINKS)), ("connections", goodput_table(&CONNECTIONS))],
    };
    for (name, table) in &tables {
        println!("{name}\n\n{table}");
    }
    if options.write { write(&tables) } else { Ok(()) }
}

/// Prints one schedule in full.
fn one(seed: u64) -> anyhow::Result<()> {
    let scenario = random(seed);
    println!("{scenario:#?}");
    let mut machine = Machine::new(scenario.policy.clone(), scenario.link.clone(), seed);
    let story = World::new(&scenario, &mut machine).traced(&mut |line| println!("{line}")).run();
    println!("{story:#?}");
    if !story.violations.is_empty() {
        bail!("{} properties did not hold", story.violations.len());
    }
    Ok(())
}

/// Runs random schedules on all cores.
fn schedules(first: u64, count: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut bad: Vec<(u64, Story)> = Vec::new();
    let mut sum = Sum::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&next, first + count))).collect();
        for worker in workers {
            let (part, stories) = worker.join().expect("a simulation does not panic");
            sum.add(&part);
            bad.extend(stories);
        }
    });
    bad.sort_by_key(|(seed, _)| *seed);
    for (seed, story) in bad.iter().take(20) {
        println!("seed {seed}:");
        story.violations.iter().for_each(|words| println!("  {words}"));
    }
    println!(
        "{count} schedules from seed {first} in {:.1} s: {} uploads completed, {} stopped as asked, {} failed for a reason that \
         the schedule gave; {} requests, {} faults, {} processes killed; longest run {:.1} h",
        start.elapsed().as_secs_f64(),
        sum.completed,
        sum.stopped,
        sum.failed,
        sum.requests,
        sum.faults,
        sum.kills,
        sum.longest.as_secs_f64() / 3600.0,
    );
    if !bad.is_empty() {
        bail!("{} schedules broke a property; `cargo xtask simulate --seed N` shows one", bad.len());
    }
    println!("every property held in every schedule");
    Ok(())
}

#[derive(Default)]
struct Sum {
    completed: u64,
    stopped: u64,
    failed: u64,
    requests: u64,
    faults: u64,
    kills: u64,
    longest: Duration,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.completed += other.completed;
        self.stopped += other.stopped;
        self.failed += other.failed;
        self.requests += other.requests;
        self.faults += other.faults;
        self.kills += other.kills;
        self.longest = self.longest.max(other.longest);
    }
}

fn work(next: &AtomicU64, end: u64) -> (Sum, Vec<(u64, Story)>) {
    let (mut sum, mut bad) = (Sum::default(), Vec::new());
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return (sum, bad);
        }
        let scenario = random(seed);
        let story = run(&scenario, &mut Machine::new(scenario.policy.clone(), scenario.link.clone(), seed));
        let stopped = story.others.iter().filter(|(_, end)| *end == End::Stopped).count() as u64;
        sum.add(&Sum {
            completed: story.completed,
            stopped,
            failed: story.others.len() as u64 - stopped,
            requests: story.requests,
            faults: u64::from(story.faults),
            kills: u64::from(story.kills),
            longest: story.elapsed,
        });
        if !story.violations.is_empty() {
            bad.push((seed, story));
        }
    }
}

/// Rows of a table: Mbit/s of the link, Mbit/s of one connection (0: as the link), and for how long it could carry what is sent.
type Links = [(f64, f64, u64)];

const LINKS: [(f64, f64, u64); 11] = [
    (1.0, 0.0, 600),
    (2.5, 0.0, 600),
    (4.0, 0.0, 600),
    (5.0, 0.0, 600),
    (8.0, 0.0, 600),
    (10.0, 0.0, 600),
    (20.0, 0.0, 600),
    (50.0, 0.0, 600),
    (100.0, 0.0, 600),
    (1000.0, 0.0, 600),
    (10_000.0, 0.0, 600),
];
const CONNECTIONS: [(f64, f64, u64); 6] = [
    (20.0, 2.5, 3600),
    (20.0, 5.0, 3600),
    (50.0, 4.0, 3600),
    (100.0, 2.5, 3600),
    (100.0, 5.0, 3600),
    (1000.0, 20.0, 600),
];
const RTTS_MS: [u64; 4] = [5, 50, 150, 300];
const CONTENDERS: [(&str, Contender); 5] = [
    ("pan123", Contender::Auto),
    ("serial", Contender::Fixed(1)),
    ("3", Contender::Fixed(3)),
    ("8", Contender::Fixed(8)),
    ("32", Contender::Fixed(32)),
];

fn goodput_table(links: &Links) -> String {
    let mut table = String::from("| link | round trip |");
    CONTENDERS.iter().for_each(|(name, _)| _ = write!(table, " {name} |"));
    table.push_str("\n|---|---|");
    CONTENDERS.iter().for_each(|_| table.push_str("---|"));
    table.push('\n');
    for &(mbit, each, seconds) in links {
        for rtt in RTTS_MS {
            let mut shape = Shape::new(mbit * 1e6, Duration::from_millis(rtt));
            let mut name = rate(mbit);
            if each > 0.0 {
                shape.per_connection = each * 1e6 / 8.0;
                let _ = write!(name, ", {} each", rate(each));
            }
            let sizes = workload(&shape, Duration::from_secs(seconds));
            let _ = write!(table, "| {name} | {rtt} ms |");
            for (_, contender) in CONTENDERS {
                let _ = write!(table, " {} |", word(&measure(&shape, &sizes, contender).0));
            }
            table.push('\n');
        }
    }
    table
}

fn rate(mbit: f64) -> String {
    if mbit >= 1000.0 { format!("{} Gbit/s", mbit / 1000.0) } else { format!("{mbit} Mbit/s") }
}

fn word(cell: &Cell) -> String {
    match cell {
        Cell::Done(part) => format!("{:.1} %", part * 100.0),
        Cell::Failed(FailedKind::SlowUplink, _) => "says too slow".into(),
        Cell::Failed(..) => "fails".into(),
    }
}

/// A million files of 100 TB together.
fn scale_table() -> String {
    let sizes = mixed_sizes(1_000_000, 100_000_000_000_000, 1);
    let cases = [(1000.0, false), (1000.0, true), (10_000.0, false), (10_000.0, true)];
    let mut table = String::from(
        "| link | account | days | days of the link alone | files a second | requests | bytes sent twice |\n|---|---|---|---|---|---|---|\n",
    );
    let rows: Vec<String> = thread::scope(|scope| {
        let runs = cases.map(|(mbit, vip)| {
            scope.spawn({
                let sizes = &sizes;
                move || scale_row(sizes, mbit, vip)
            })
        });
        runs.into_iter().map(|run| run.join().expect("a simulation does not panic")).collect()
    });
    rows.iter().for_each(|row| table.push_str(row));
    table
}

fn scale_row(sizes: &[u64], mbit: f64, vip: bool) -> String {
    let mut scenario = Scenario::calm(Shape::new(mbit * 1e6, Duration::from_millis(30)), sizes);
    scenario.manners.limits = if vip { Limits::VIP } else { Limits::FREE };
    scenario.at_once = 16;
    scenario.look_every = Duration::from_millis(500);
    scenario.link.vip_rates = vip;
    let story = run(&scenario, &mut Machine::new(Policy::default(), scenario.link.clone(), 1));
    assert_eq!((story.violations.as_slice(), story.completed), (&[][..], sizes.len() as u64));
    let twice = story.bytes_on_wire / scenario.bytes() as f64 - 1.0;
    format!(
        "| {} | {} | {:.2} | {:.2} | {:.1} | {:.2} million | {:.2} % |\n",
        rate(mbit),
        if vip { "VIP" } else { "free" },
        story.elapsed.as_secs_f64() / 86_400.0,
        scenario.ideal().as_secs_f64() / 86_400.0,
        sizes.len() as f64 / story.elapsed.as_secs_f64(),
        story.requests as f64 / 1e6,
        twice.max(0.0) * 100.0,
    )
}

/// Puts each table between its markers in the document.
fn write(tables: &[(&str, String)]) -> anyhow::Result<()> {
    let path = Workspace::find()?.root.join("docs/reliability.md");
    let mut text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (name, table) in tables {
        let (begin, end) = (format!("<!-- simulate {name} -->\n"), "<!-- end -->");
        let from =
            text.find(&begin).with_context(|| format!("no {begin:?} in {}", path.display()))? + begin.len();
        let len = text[from..].find(end).with_context(|| format!("no {end:?} after {begin:?}"))?;
        text.replace_range(from..from + len, &format!("\n{table}\n"));
    }
    fs::write(&path, text).with_context(|| path.display().to_string())
}
