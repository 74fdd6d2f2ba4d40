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

/// Blocks that a job takes in its turn at least.
const TURN_MIN: usize = 8;

/// How many jobs may take turns as the second of a pair.
const TURNS_MAX: usize = 8;

/// Up to so many blocks, a message is copied, so that all of it lies side by side.
const COPIED_MAX: usize = 4;

type Block = [u8; BLOCK];

/// Blocks that are no part of the data: those that a tail was filled up to, and the ends of messages.
#[derive(Default)]
pub(crate) struct Arena(Vec<Block>);

impl Arena {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Makes room for so many blocks.
    pub(crate) fn reserve(&mut self, blocks: usize) {
        self.0.reserve(blocks);
    }
}

/// Blocks for one chain: what fills up its tail, whole blocks of the data, and its end.
pub(crate) struct Feed<'a> {
    body: &'a [Block],
    /// Where its blocks in the arena begin.
    first: usize,
    heads: u8,
    ends: u8,
}

/// Whether a message goes on after some data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    More,
    End,
}

impl<'a> Feed<'a> {
    /// Adds `data` to the chain, all but the work of compressing it.
    pub(crate) fn new(chain: &mut Chain, mut data: &'a [u8], then: Then, arena: &mut Arena) -> Self {
        let first = arena.0.len();
        let is_full = chain.top_up(&mut data);
        if is_full {
            arena.0.push(chain.tail);
        }
        let (body, rest) = blocks(data);
        chain.take(body.len(), rest);
        let mut ends = 0;
        if then == Then::End {
            let (blocks, count) = chain.padding();
            arena.0.extend_from_slice(&blocks[..count]);
            ends = count as u8;
        }
        Self { body, first, heads: u8::from(is_full), ends }
    }

    /// All of a message.
    pub(crate) fn message(data: &'a [u8], arena: &mut Arena) -> Self {
        let first = arena.0.len();
        let (mut body, mut rest) = blocks(data);
        if body.len() < COPIED_MAX {
            (body, rest) = (&[], data);
        }
        // A byte that marks the end, and the length.
        let count = (rest.len() + 9).div_ceil(BLOCK);
        arena.0.resize(first + count, [0; BLOCK]);
        let end = arena.0[first..].as_flattened_mut();
        end[..rest.len()].copy_from_slice(rest);
        end[rest.len()] = 0x80;
        let len_bits = (data.len() as u64).wrapping_mul(8);
        end[count * BLOCK - 8..].copy_from_slice(&len_bits.to_le_bytes());
        Self { body, first, heads: 0, ends: count as u8 }
    }
}

/// One chain and the blocks that it has to take.
pub(crate) struct Job<'a> {
    /// The state of the chain; the final one after [`run`].
    pub(crate) words: [u32; 4],
    /// The blocks that come next and lie side by side; not empty before the end.
    run: &'a [Block],
    /// Those that come after them; the second is empty if the first is.
    later: [&'a [Block]; 2],
    blocks_left: usize,
    counted: bool,
}

impl<'a> Job<'a> {
    /// A job for a chain with these words and its feed. Only what a `counted` job does counts as progress.
    pub(crate) fn new(words: [u32; 4], feed: &Feed<'a>, arena: &'a Arena, counted: bool) -> Self {
        let (head, end) =
            arena.0[feed.first..][..usize::from(feed.heads + feed.ends)].split_at(feed.heads.into());
        let blocks_left = head.len() + feed.body.len() + end.len();
        let [run, later @ ..] = match (head, feed.body) {
            ([], []) => [end, &[], &[]],
            ([], body) => [body, end, &[]],
            (head, []) => [head, end, &[]],
            (head, body) => [head, body, end],
        };
        Self { words, run, later, blocks_left, counted }
    }

    fn skip(&mut self, count: usize) {
        self.blocks_left -= count;
        self.run = &self.run[count..];
        if self.run.is_empty() {
            [self.run, self.later[0]] = self.later;
            self.later[1] = &[];
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
    if !order.is_sorted_by(|a, b| a.0 >= b.0) {
        order.sort_unstable_by(|a, b| b.cmp(a));
    }
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
            let left = self.active.len() + self.waiting.len();
            if left > width_max && left < 2 * width_max {
                self.wide_in_turns(width_max)?;
            }
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
        // Where a pair costs more than one chain, the longest gets no shadow.
        self.active.len() >= self.kernel.crossover()
            && (self.blocks_left - longest > longest || !self.kernel.pair_is_free())
    }

    /// Lets somewhat more jobs than there are lanes take turns, those with the most left first, until they fit. All end at
    /// about the same time then, and no few are left that fill no lanes.
    fn wide_in_turns(&mut self, width: usize) -> Result<(), Error> {
        self.activate(usize::MAX);
        let mut states = [0; 4 * LANES_MAX];
        let states = &mut states[..4 * width];
        let mut runs: [&[Block]; LANES_MAX] = [&[]; LANES_MAX];
        while self.active.len() > width && self.wide_pays() {
            let jobs = &self.jobs;
            let by_rest = |&id: &usize| std::cmp::Reverse(jobs[id].blocks_left);
            let (_, &mut last, _) = self.active.select_nth_unstable_by_key(width - 1, by_rest);
            let turn = (jobs[last].blocks_left / 8).clamp(TURN_MIN, CALL_BLOCKS_MAX);
            for (lane, &id) in self.active[..width].iter().enumerate() {
                load(states, lane, self.jobs[id].words);
                runs[lane] = self.jobs[id].run;
            }
            let count = runs[..width].iter().map(|run| run.len()).min().unwrap_or(0).min(turn);
            self.kernel.lanes(states, &runs[..width], count);
            for (lane, &id) in self.active[..width].iter().enumerate() {
                self.jobs[id].words = stored(states, lane);
            }
            self.skip(width, count)?;
            self.active.retain(|&id| self.jobs[id].blocks_left > 0);
        }
        Ok(())
    }

    /// Runs the active jobs in lanes of this width until one has no successor, or lanes no longer pay.
    fn wide_with(&mut self, width: usize) -> Result<(), Error> {
        let mut states = [0; 4 * LANES_MAX];
        let states = &mut states[..4 * width];
        let count_active = self.active.len();
        let mut runs: [&[Block]; LANES_MAX] = [&[]; LANES_MAX];
        for (lane, &id) in self.active.iter().enumerate() {
            let job = &self.jobs[id];
            load(states, lane, job.words);
            runs[lane] = job.run;
        }
        let mut may_go_on = true;
        while may_go_on && self.wide_pays() {
            // Lanes without a job do again what the first one does.
            let first = runs[0];
            runs[count_active..width].fill(first);
            let shortest = runs[..count_active].iter().map(|run| run.len()).min();
            let count = shortest.unwrap_or(0).min(CALL_BLOCKS_MAX);
            self.kernel.lanes(states, &runs[..width], count);
            let mut bytes = 0;
            for (lane, run) in runs[..count_active].iter_mut().enumerate() {
                let job = &mut self.jobs[self.active[lane]];
                job.skip(count);
                bytes += if job.counted { (count * BLOCK) as u64 } else { 0 };
                *run = job.run;
                if job.blocks_left == 0 {
                    job.words = stored(states, lane);
                    match self.waiting.next() {
                        Some((_, next)) => {
                            self.active[lane] = next;
                            let job = &self.jobs[next];
                            load(states, lane, job.words);
                            *run = job.run;
                        }
                        None => may_go_on = false,
                    }
                }
            }
            self.blocks_left -= count * count_active;
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
                    let run = self.jobs[only].run;
                    let count = run.len().min(4 * CALL_BLOCKS_MAX);
                    self.kernel.single(&mut self.jobs[only].words, &run[..count]);
                    self.skip(1, count)?;
                }
                [first, second, ..] => {
                    let (run_a, run_b) = (self.jobs[first].run, self.jobs[second].run);
                    let count = run_a.len().min(run_b.len()).min(CALL_BLOCKS_MAX);
                    let (mut a, mut b) = (self.jobs[first].words, self.jobs[second].words);
                    self.kernel.pair(&mut a, &mut b, &run_a[..count], &run_b[..count]);
                    (self.jobs[first].words, self.jobs[second].words) = (a, b);
                    self.skip(2, count)?;
                }
            }
            self.active.retain(|&id| self.jobs[id].blocks_left > 0);
        }
    }

    /// Notes that so many of the active jobs, from the front, took `count` blocks each.
    fn skip(&mut self, jobs: usize, count: usize) -> Result<(), Error> {
        let mut bytes = 0;
        for &id in &self.active[..jobs] {
            self.jobs[id].skip(count);
            bytes += if self.jobs[id].counted { (count * BLOCK) as u64 } else { 0 };
        }
        self.blocks_left -= count * jobs;
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
