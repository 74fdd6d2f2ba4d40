//! `cargo xtask links`: the program over slow lines, each between two network namespaces.
//!
//! A line is a virtual cable between the client's namespace and the service's, and the client's end lets so many bits
//! a second into it. The service listens on 127.0.0.1 of its own namespace as it always does; in the client's
//! namespace that address is not local, but at the other end of the cable. Nothing of this machine's network is
//! touched, and a namespace ends with its last process.

use std::{
    fs,
    io::BufRead,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{
    beside::{Ended, Noise, Owned, Service, clear, pan123, same, watch},
    workspace::Workspace,
};

/// What `cargo xtask links` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what takes little more than two minutes
    #[arg(long)]
    quick: bool,
}

const SLICE: u64 = 16 << 20;
/// The gateway's line.
const BODY_SECONDS: u64 = 60;
/// What a slice needs to make it, in Mbit/s.
const NEEDED: f64 = SLICE as f64 * 8e-6 / BODY_SECONDS as f64;
/// What is sent again, and polls, may make it take this much longer than the line needs for the bytes.
const LONGER_MAX: f64 = 3.0;
/// Headers of packets: what of a line is left for bytes, at least.
const PAYLOAD: f64 = 0.94;

/// A line and what goes over it.
struct Case {
    mbit: f64,
    /// The line gets this rate when the first slice is through.
    then: Option<f64>,
    slices: u64,
    servers: u32,
    quick: bool,
}

#[rustfmt::skip]
const CASES: [Case; 8] = [
    Case { mbit: 1.0, then: None, slices: 1, servers: 1, quick: true },
    Case { mbit: 2.0, then: None, slices: 2, servers: 2, quick: false },
    Case { mbit: 2.5, then: None, slices: 3, servers: 2, quick: false },
    Case { mbit: 4.0, then: None, slices: 3, servers: 2, quick: true },
    Case { mbit: 5.0, then: None, slices: 4, servers: 2, quick: false },
    Case { mbit: 8.0, then: None, slices: 6, servers: 2, quick: true },
    Case { mbit: 20.0, then: None, slices: 12, servers: 2, quick: false },
    // A good line that somebody else begins to use.
    Case { mbit: 20.0, then: Some(3.0), slices: 5, servers: 2, quick: false },
];

/// Runs all cases at once: they wait for their lines and need next to nothing of the machine.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let pan123 = pan123(&workspace)?;
    let folder = workspace.scratch().join("links");
    clear(&folder)?;
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.quick || !options.quick).collect();
    let results: Vec<anyhow::Result<String>> = thread::scope(|scope| {
        let runs: Vec<_> = cases
            .iter()
            .map(|case| {
                let run = Run {
                    case,
                    pan123: &pan123,
                    folder: folder.join(case.name().replace([' ', '/', ','], "-")),
                };
                scope.spawn(move || run.through())
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("it returns its errors")).collect()
    });
    let mut failed = 0;
    for (case, result) in cases.iter().zip(results) {
        let words = result.unwrap_or_else(|error| {
            failed += 1;
            format!("FAILED: {error:#}")
        });
        println!("{:<20} {words}", case.name());
    }
    if failed > 0 {
        bail!("{failed} of {} lines; what they left is in {}", cases.len(), folder.display());
    }
    clear(&folder)
}

impl Case {
    fn name(&self) -> String {
        let then = self.then.map_or_else(String::new, |then| format!(", then {then}"));
        format!("{} Mbit/s{then}", self.mbit)
    }

    /// Whether a slice that is alone on the line can pass.
    fn passes(&self) -> bool {
        self.then.unwrap_or(self.mbit) * PAYLOAD >= NEEDED
    }

    /// How long the line takes for the bytes alone, at most.
    fn ideal(&self) -> Duration {
        let bits = |slices: u64| (slices * SLICE * 8) as f64;
        let rest = self.then.map_or(0.0, |then| bits(self.slices - 1) / (then * 1e6));
        let first = if self.then.is_some() { 1 } else { self.slices };
        Duration::from_secs_f64((bits(first) / (self.mbit * 1e6) + rest) / PAYLOAD)
    }
}

/// One case under way.
struct Run<'a> {
    case: &'a Case,
    pan123: &'a Path,
    folder: PathBuf,
}

impl Run<'_> {
    /// Runs the case, and says how it went if that is right.
    fn through(&self) -> anyhow::Result<String> {
        fs::create_dir_all(&self.folder)?;
        let file = self.folder.join("f.bin");
        fs::write(&file, Noise::new(1, self.case.slices).bytes((self.case.slices * SLICE) as usize))?;
        let line = Line::new(self.case.mbit)?;
        let service = self.serve(&line)?;
        let first = self.upload(&line, &service, &file)?;
        let words = match self.case.passes() {
            true => self.arrived(&first)?,
            false => {
                let words = self.too_slow(&first)?;
                // The same command goes on when the line is better.
                line.rate(100.0)?;
                let second = self.upload(&line, &service, &file)?;
                ensure!(second.code == Some(0), "the next run: {}", second.said("failed"));
                ensure!(second.count("restart") == 0, "the next run: {}", second.said("restart"));
                words
            }
        };
        same(&file, &self.folder.join("drive/files/f.bin"))?;
        ensure!(self.requests("create")?.len() == 1, "it was created more than once");
        Ok(words)
    }

    fn arrived(&self, ended: &Ended) -> anyhow::Result<String> {
        ensure!(ended.code == Some(0), "{}", ended.said("failed"));
        let (took, ideal) = (ended.elapsed.as_secs_f64(), self.case.ideal().as_secs_f64());
        ensure!(took <= ideal * LONGER_MAX, "it took {took:.0} s, and the line needs {ideal:.0} s");
        let slices = self.requests("slice")?;
        let bytes: u64 = slices.iter().filter_map(|slice| slice["bytes"].as_u64()).sum();
        let sent = bytes as f64 / (self.case.slices * SLICE) as f64;
        Ok(format!(
            "{} slices in {took:.0} s, and the line alone needs {ideal:.0} s; {} requests, {} past the gateway's line, {sent:.2} of the bytes sent",
            self.case.slices,
            slices.len(),
            slices.iter().filter(|slice| slice["status"] == 500).count(),
        ))
    }

    fn too_slow(&self, ended: &Ended) -> anyhow::Result<String> {
        let failed = ended.lines.iter().find(|line| line["event"] == "failed").context("it did not fail")?;
        let message = failed["message"].as_str().unwrap_or_default();
        ensure!(ended.code == Some(5) && failed["kind"] == "slow_uplink", "{failed}");
        let figures: Vec<f64> =
            message.split(" Mbit/s").filter_map(|before| before.rsplit(' ').next()?.parse().ok()).collect();
        // The client knows what its kernel has taken, and not to the byte what has left it.
        let right = |made: f64| (self.case.mbit * 0.85..=self.case.mbit * 1.15).contains(&made);
        let [made, needed] = figures[..] else { bail!("no two figures: {message}") };
        ensure!(right(made) && (needed - NEEDED).abs() < 0.01, "{message}");
        Ok(format!("after {:.0} s: {message}", ended.elapsed.as_secs_f64()))
    }

    fn serve(&self, line: &Line) -> anyhow::Result<Service> {
        let faults = format!(
            r#"{{"behaviour": {{"body_deadline_ms": {}, "body_deadline_text": true, "latency_ms": 20}}}}"#,
            BODY_SECONDS * 1000
        );
        let mut command = line.service.command(self.pan123);
        command.env("HOME", &self.folder).args(["serve", "--json", "--faults", &faults]);
        command.arg("--servers").arg(self.case.servers.to_string());
        command.arg("--dir").arg(self.folder.join("drive")).arg("--log").arg(self.folder.join("requests"));
        Service::start(&mut command)
    }

    fn upload(&self, line: &Line, service: &Service, file: &Path) -> anyhow::Result<Ended> {
        let mut command = line.client.command(self.pan123);
        command.env("HOME", &self.folder).env("PAN123_STATE_DIR", self.folder.join("state"));
        command.env("PAN123_BASE_URL", &service.url).env("PAN123_ACCESS_TOKEN", &service.token);
        command.args(["upload", "--json"]).arg(file);
        let limit = self.case.ideal().mul_f64(LONGER_MAX) + Duration::from_secs(5 * BODY_SECONDS);
        let mut then = self.case.then;
        let told = |event: &Value| match then.take_if(|_| event["event"] == "slice") {
            Some(mbit) => line.rate(mbit),
            None => Ok(()),
        };
        watch(&mut command, limit, told, |_| {})
    }

    /// What the service saw of this call.
    fn requests(&self, endpoint: &str) -> anyhow::Result<Vec<Value>> {
        let text = fs::read_to_string(self.folder.join("requests"))?;
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(lines?.into_iter().filter(|line| line["endpoint"] == endpoint).collect())
    }
}

/// Two network namespaces with a cable between them.
struct Line {
    client: Namespace,
    service: Namespace,
}

impl Line {
    /// What is in the queue in front of a line that is full, as a time.
    const QUEUE: &str = "200ms";

    fn new(mbit: f64) -> anyhow::Result<Self> {
        let (client, service) = (Namespace::new()?, Namespace::new()?);
        let there = service.holder.id();
        client.shell(&format!("ip link add name cable type veth peer name cable netns {there}"))?;
        // Loopback addresses may come and go over the cable, which is against all rules elsewhere.
        let open = "for one in all cable; do echo 1 >/proc/sys/net/ipv4/conf/$one/route_localnet; \
                    echo 0 >/proc/sys/net/ipv4/conf/$one/rp_filter; done";
        service.shell(&format!(
            "ip link set lo up && ip address add 10.123.0.2/30 dev cable && ip link set cable up && {open}"
        ))?;
        client.shell(&format!(
            "ip address add 10.123.0.1/30 dev cable && ip link set cable up && {open} && \
             ip route add 127.0.0.0/8 via 10.123.0.2 dev cable"
        ))?;
        let line = Self { client, service };
        line.rate(mbit)?;
        Ok(line)
    }

    /// Lets so much through from now on.
    fn rate(&self, mbit: f64) -> anyhow::Result<()> {
        let bits = (mbit * 1e6) as u64;
        self.client.shell(&format!(
            "tc qdisc replace dev cable root tbf rate {bits}bit burst 16kb latency {}",
            Self::QUEUE
        ))
    }
}

/// A network namespace, for as long as its holder runs.
struct Namespace {
    holder: Owned,
}

impl Namespace {
    fn new() -> anyhow::Result<Self> {
        // It ends with its stdin, so at the latest with us.
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo there; exec cat"]).stdin(Stdio::piped());
        let (holder, mut stdout) = Owned::start(&mut command)?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        ensure!(line == "there\n", "no network namespace: it takes root, and a kernel with namespaces");
        Ok(Self { holder })
    }

    /// A program in it, with nothing of our environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).stdin(Stdio::null());
        command
    }

    fn shell(&self, script: &str) -> anyhow::Result<()> {
        let output = self.command(Path::new("sh")).args(["-c", script]).output().context("run nsenter")?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
