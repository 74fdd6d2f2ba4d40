//! Uploads that share a link, and wait for each other.

use super::*;

/// Uploads on one link and a service that answers each request after a while.
struct Crowd {
    uploads: Vec<Upload>,
    link: Link,
    now: Duration,
    /// When which request of which upload is answered, and what it asked.
    under_way: Vec<(Duration, usize, TryId, Call)>,
    ended: Vec<Option<(Duration, Outcome)>>,
    /// Who may go first: the one after the last that sent anything.
    first: usize,
}

impl Crowd {
    fn new(count: usize, slices: u64, parallel: Parallel) -> Self {
        let link = Link::new(LinkPolicy { parallel, ..LinkPolicy::default() });
        let policy = Policy { single: SingleUse::Never, ..Policy::default() };
        let upload = |seed| Upload::new(spec(slices), policy.clone(), seed as u64);
        let (uploads, ended) = ((0..count).map(upload).collect(), vec![None; count]);
        Self { uploads, link, now: Duration::ZERO, under_way: vec![], ended, first: 0 }
    }

    /// Runs all to their ends. `answer` says what becomes of a request of this upload, and how long it takes.
    fn run(&mut self, mut answer: impl FnMut(usize, &Call) -> (Result<Reply, Class>, Duration)) {
        let mut answers = BTreeMap::new();
        for _ in 0..1_000_000 {
            while self.poll_all(&mut answers, &mut answer) {}
            let due = self.under_way.iter().map(|&(at, ..)| at).min();
            let wakes = self.uploads.iter().filter_map(|upload| upload.wake_at(&self.link));
            let Some(next) = due.into_iter().chain(wakes).min() else { return };
            self.now = self.now.max(next);
            while let Some(at) = self.under_way.iter().position(|&(at, ..)| at <= self.now) {
                let (_, upload, id, call) = self.under_way.remove(at);
                let input = match answers.remove(&(upload, id)).unwrap() {
                    Ok(reply) => Input::Replied { id, reply },
                    Err(class) => {
                        let endpoint = match call {
                            Call::Slice { .. } => Endpoint::Slice,
                            _ => Endpoint::Create,
                        };
                        let http_status = (class == Class::Server).then_some(500);
                        let failure = Failure { http_status, ..failure(endpoint, class) };
                        Input::Failed { id, failure, sent: 0 }
                    }
                };
                self.uploads[upload].handle(self.now, &mut self.link, input);
            }
        }
        panic!("no end");
    }

    fn poll_all(
        &mut self,
        answers: &mut BTreeMap<(usize, TryId), Result<Reply, Class>>,
        answer: &mut impl FnMut(usize, &Call) -> (Result<Reply, Class>, Duration),
    ) -> bool {
        let mut any = false;
        let count = self.uploads.len();
        let first = self.first;
        for number in (0..count).map(|place| (first + place) % count) {
            let upload = &mut self.uploads[number];
            while let Some(action) = upload.poll(self.now, &mut self.link) {
                any = true;
                match action {
                    Action::Hash { slice_size, .. } => {
                        let digests = digests(&upload.spec, slice_size);
                        upload.handle(self.now, &mut self.link, Input::Hashed(digests));
                    }
                    Action::Send { id, call } => {
                        self.first = number + 1;
                        let (result, takes) = answer(number, &call);
                        answers.insert((number, id), result);
                        self.under_way.push((self.now + takes, number, id, call));
                    }
                    Action::Abort { id } => {
                        self.under_way.retain(|&(_, whose, which, _)| (whose, which) != (number, id));
                    }
                    Action::Finish(outcome) => self.ended[number] = Some((self.now, outcome)),
                    _ => {}
                }
            }
        }
        any
    }

    fn completed(&self) -> usize {
        let completed = |end: &&Option<_>| matches!(end, Some((_, Outcome::Completed(_))));
        self.ended.iter().filter(completed).count()
    }
}

fn taken(call: &Call) -> Reply {
    match call {
        Call::Create { .. } => created(SLICE),
        Call::Slice { .. } => Reply::SliceTaken,
        _ => STORED,
    }
}

#[test]
fn to_wait_for_a_turn_while_others_get_through_is_no_failure() {
    let mut crowd = Crowd::new(300, 1, Parallel::Auto);
    let mut rng = fastrand::Rng::with_seed(7);
    crowd.run(|_, call| {
        let fails = matches!(call, Call::Create { .. }) && rng.u8(..) < 64;
        let result = if fails { Err(Class::Interrupted) } else { Ok(taken(call)) };
        (result, Duration::from_millis(100))
    });
    assert_eq!(crowd.completed(), 300, "one in four fails, and the next try makes it");
    assert!(crowd.now > Duration::from_secs(300), "a turn is a second");
}

#[test]
fn to_wait_for_a_turn_while_others_get_through_is_no_refusal_either() {
    let mut crowd = Crowd::new(200, 1, Parallel::Auto);
    let mut rng = fastrand::Rng::with_seed(3);
    crowd.run(|_, call| {
        let fails = matches!(call, Call::Create { .. }) && rng.u8(..) < 64;
        let result = if fails { Err(Class::RateLimited) } else { Ok(taken(call)) };
        (result, Duration::from_millis(100))
    });
    assert_eq!(crowd.completed(), 200, "one in four is refused, and a later try makes it");
}

#[test]
fn to_wait_for_a_place_while_others_get_through_is_no_failure() {
    let mut crowd = Crowd::new(60, 3, Parallel::Exactly(1));
    let mut failed = 0;
    crowd.run(|number, call| {
        let fails = number == 59 && matches!(call, Call::Slice { .. }) && failed < 3;
        failed += u32::from(fails);
        let result = if fails { Err(Class::Interrupted) } else { Ok(taken(call)) };
        (result, Duration::from_millis(if fails { 10 } else { 1500 }))
    });
    assert_eq!((crowd.completed(), failed), (60, 3), "{:?}", crowd.ended[59]);
}

#[test]
fn to_wait_for_a_turn_while_the_service_answers_is_no_failure() {
    let mut crowd = Crowd::new(90, 1, Parallel::Auto);
    let mut creates = vec![0; 90];
    crowd.run(|number, call| {
        creates[number] += u32::from(matches!(call, Call::Create { .. }));
        let fails = matches!(call, Call::Create { .. }) && creates[number] <= 2;
        let result = if fails { Err(Class::Server) } else { Ok(taken(call)) };
        (result, Duration::from_millis(100))
    });
    assert_eq!(crowd.completed(), 90, "each met two failures that passed");
}

#[test]
fn where_nothing_gets_through_many_uploads_end_as_one_does() {
    for (class, first, last) in [(Class::Server, 400, 2000), (Class::Interrupted, 300, 700)] {
        let mut crowd = Crowd::new(300, 1, Parallel::Auto);
        crowd.run(|_, _| (Err(class), Duration::from_millis(100)));
        assert_eq!(crowd.completed(), 0);
        let mut ends: Vec<u64> = crowd.ended.iter().flatten().map(|&(at, _)| at.as_secs()).collect();
        ends.sort();
        assert!(ends.len() == 300 && ends[0] >= first && ends[299] < last, "{class:?}: {ends:?}");
    }
}
