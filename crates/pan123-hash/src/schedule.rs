//! Gets many chains of different lengths through a kernel in the least time.
//!
//! A *job* is one chain and the blocks that it still has to take. There are two ways to run jobs:
//!
//! * **wide**: as many at once as the kernel has lanes. The longest go first; a lane that runs out takes the
//!   next job.
//! * **narrow**: two at once through the kernel's pair, where a chain is about twice as fast as in a lane.
//!
//! Wide moves more bytes in all, narrow brings one long chain to its end sooner. So jobs run wide until
//! either too few are left to make that pay, or the longest is as long as all the others together. Then the
//! others fit into the shadow of the longest, as the second chain of its pair, and nothing can be faster than
//! that. Neither condition goes away once it holds, so there is one change at most.

use crate::{
    Error, Kernel,
    chain::{BLOCK, Chain},
    kernel::{LANES_MAX, blocks},
};

/// Blocks taken by one call of a kernel at most, so that progress and cancelling keep up and a pair is chosen
/// anew.
const CALL_BLOCKS_MAX: usize = 1024;

/// How many jobs may take turns as the second of a pair.
const TURNS_MAX: usize = 8;

/// Blocks for one chain: what fills up its tail, whole blocks of the data, and its end.
pub(crate) struct Feed<'a> {
    head: Option<[u8; BLOCK]>,
    body: &'a [[u8; BLOCK]],
    end: ([[u8; BLOCK]; 2], usize),
}

/// Whether a message goes on after some data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    More,
    End,
}

impl<'a> Feed<'a> {
    /// Adds `data` to the chain, all but the work of compressing it.
    pub(crate) fn new(chain: &mut Chain, mut data: &'a [u8], then: Then) -> Self {
        let head = chain.top_up(&mut data).then_some(chain.tail);
        let (body, rest) = blocks(data);
        chain.take(body.len(), rest);
        let end = if then == Then::End { chain.padding() } else { ([[0; BLOCK]; 2], 0) };
        Self { head, body, end }
    }
}

/// One chain and the blocks that it has to take.
pub(crate) struct Job<'a> {
    /// The state of the chain; the final one after [`run`].
    pub(crate) words: [u32; 4],
    runs: [&'a [[u8; BLOCK]]; 3],
    blocks_left: usize,
    counted: bool,
}

impl<'a> Job<'a> {
    /// A job for the chain that `feed` was made with. Only what a `counted` job does counts as progress.
    pub(crate) fn new(words: [u32; 4], feed: &'a Feed<'a>, counted: bool) -> Self {
        let runs = [feed.head.as_slice(), feed.body, &feed.end.0[..feed.end.1]];
        Self { words, runs, blocks_left: runs.iter().map(|run| run.len()).sum(), counted }
    }

    /// The blocks that come next and lie side by side; not empty before the end.
    fn run(&self) -> &'a [[u8; BLOCK]] {
        self.runs.iter().find(|run| !run.is_empty()).copied().unwrap_or_default()
    }

    fn skip(&mut self, count: usize) {
        self.blocks_left -= count;
        if let Some(run) = self.runs.iter_mut().find(|run| !run.is_empty()) {
            *run = &run[count..];
        }
    }
}

/// Runs all jobs to their end.
///
/// Calls `tick` now and then with the bytes that counted jobs have taken since the last call.
///
/// # Errors
///
/// Those of `tick`; the jobs are worth nothing then.
pub(crate) fn run(
    kernel: Kernel,
    jobs: &mut [Job<'_>],
    tick: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    // The lengths come along, because looking them up would cost more than the rest of the sort.
    let lens = jobs.iter().enumerate().map(|(id, job)| (job.blocks_left, id));
    let mut order: Vec<(usize, usize)> = lens.filter(|&(blocks_left, _)| blocks_left > 0).collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let blocks_left = order.iter().map(|&(blocks_left, _)| blocks_left).sum();
    let mut schedule =
        Schedule { kernel, jobs, waiting: order.into_iter(), active: Vec::new(), blocks_left, tick };
    schedule.wide()?;
    schedule.narrow()
}

struct Schedule<'s, 'a> {
    kernel: Kernel,
    jobs: &'s mut [Job<'a>],
    /// Blocks and place of each job not begun, the longest first.
    waiting: std::vec::IntoIter<(usize, usize)>,
    /// Jobs begun and not at their end. In the wide phase, the place in here is the lane.
    active: Vec<usize>,
    /// Of all jobs together.
    blocks_left: usize,
    tick: &'s mut dyn FnMut(u64) -> Result<(), Error>,
}

impl Schedule<'_, '_> {
    /// Begins jobs until so many are active, or none is left.
    fn activate(&mut self, count: usize) {
        let more = count.saturating_sub(self.active.len());
        self.active.extend(self.waiting.by_ref().take(more).map(|(_, id)| id));
    }

    fn wide(&mut self) -> Result<(), Error> {
        let Some(&width_max) = self.kernel.widths().last() else { return Ok(()) };
        loop {
            self.activate(width_max);
            if !self.wide_pays() {
                return Ok(());
            }
            let fits = self.kernel.widths().iter().find(|&&width| width >= self.active.len());
            self.wide_with(*fits.unwrap_or(&width_max))?;
        }
    }

    /// False when the rest is for the pair.
    fn wide_pays(&self) -> bool {
        let longest_active = self.active.iter().map(|&id| self.jobs[id].blocks_left).max().unwrap_or(0);
        let longest_waiting = self.waiting.as_slice().first().map_or(0, |&(blocks_left, _)| blocks_left);
        let longest = longest_active.max(longest_waiting);
        self.active.len() >= self.kernel.crossover() && self.blocks_left - longest > longest
    }

    /// Runs the active jobs in lanes of this width until one has no successor, or lanes no longer pay.
    fn wide_with(&mut self, width: usize) -> Result<(), Error> {
        let mut states = [0; 4 * LANES_MAX];
        let states = &mut states[..4 * width];
        for (lane, &id) in self.active.iter().enumerate() {
            load(states, lane, self.jobs[id].words);
        }
        let mut may_go_on = true;
        while may_go_on && self.wide_pays() {
            let mut data = [self.jobs[self.active[0]].run(); LANES_MAX];
            for (run, &id) in data.iter_mut().zip(&self.active) {
                *run = self.jobs[id].run();
            }
            let data = &data[..width];
            let count = data.iter().map(|run| run.len()).min().unwrap_or(0).min(CALL_BLOCKS_MAX);
            self.kernel.lanes(states, data, count);
            let mut bytes = 0;
            for lane in 0..self.active.len() {
                let job = &mut self.jobs[self.active[lane]];
                job.skip(count);
                bytes += if job.counted { (count * BLOCK) as u64 } else { 0 };
                if job.blocks_left == 0 {
                    job.words = stored(states, lane);
                    match self.waiting.next() {
                        Some((_, next)) => {
                            self.active[lane] = next;
                            load(states, lane, self.jobs[next].words);
                        }
                        None => may_go_on = false,
                    }
                }
            }
            self.blocks_left -= count * self.active.len();
            (self.tick)(bytes)?;
        }
        for (lane, &id) in self.active.iter().enumerate() {
            self.jobs[id].words = stored(states, lane);
        }
        self.active.retain(|&id| self.jobs[id].blocks_left > 0);
        Ok(())
    }

    fn narrow(&mut self) -> Result<(), Error> {
        loop {
            // The last few take turns, so that two of them end together: three alike then take as long as one
            // and a half, not two.
            let few = self.active.len() + self.waiting.len() <= TURNS_MAX;
            self.activate(if few { TURNS_MAX } else { 2 });
            if self.active.len() > 2 {
                self.active.sort_unstable_by_key(|&id| std::cmp::Reverse(self.jobs[id].blocks_left));
            }
            match self.active[..] {
                [] => return Ok(()),
                [only] => {
                    let run = self.jobs[only].run();
                    let count = run.len().min(4 * CALL_BLOCKS_MAX);
                    self.kernel.single(&mut self.jobs[only].words, &run[..count]);
                    self.skip(&[only], count)?;
                }
                [first, second, ..] => {
                    let (run_a, run_b) = (self.jobs[first].run(), self.jobs[second].run());
                    let count = run_a.len().min(run_b.len()).min(CALL_BLOCKS_MAX);
                    let (mut a, mut b) = (self.jobs[first].words, self.jobs[second].words);
                    self.kernel.pair(&mut a, &mut b, &run_a[..count], &run_b[..count]);
                    (self.jobs[first].words, self.jobs[second].words) = (a, b);
                    self.skip(&[first, second], count)?;
                }
            }
            self.active.retain(|&id| self.jobs[id].blocks_left > 0);
        }
    }

    /// Notes that these jobs took `count` blocks each.
    fn skip(&mut self, ids: &[usize], count: usize) -> Result<(), Error> {
        let mut bytes = 0;
        for &id in ids {
            self.jobs[id].skip(count);
            bytes += if self.jobs[id].counted { (count * BLOCK) as u64 } else { 0 };
        }
        self.blocks_left -= count * ids.len();
        (self.tick)(bytes)
    }
}

fn load(states: &mut [u32], lane: usize, words: [u32; 4]) {
    let width = states.len() / 4;
    for (word, value) in words.into_iter().enumerate() {
        states[word * width + lane] = value;
    }
}

fn stored(states: &[u32], lane: usize) -> [u32; 4] {
    let width = states.len() / 4;
    std::array::from_fn(|word| states[word * width + lane])
}

#[cfg(test)]
mod tests;
