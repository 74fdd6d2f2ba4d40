//! What a simulated run is like.

use std::time::Duration;

use pan123_proto::{
    Class,
    machine::{LinkPolicy, Policy, Stop},
};

use crate::{
    network::Shape,
    service::{Content, Limits, Manners},
};

/// Everything that decides a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides all that is random.
    pub seed: u64,
    /// The network.
    pub shape: Shape,
    /// What each upload host takes, in bytes per second; one entry per host.
    pub servers: Vec<f64>,
    /// The service.
    pub manners: Manners,
    /// The gateway gives up on a body after this long.
    pub line: Duration,
    /// What it says then.
    pub line_answer: LineAnswer,
    /// What goes wrong with single requests.
    pub faults: Faults,
    /// What happens when.
    pub deeds: Vec<(Duration, Deed)>,
    /// When the process dies; a new one goes on from the journal.
    pub kills: Vec<Kill>,
    /// The files to upload.
    pub files: Vec<File>,
    /// How many uploads run at once.
    pub at_once: usize,
    /// How often bodies under way are looked at.
    pub look_every: Duration,
    /// How uploads behave.
    pub policy: Policy,
    /// How they share what they have in common.
    pub link: LinkPolicy,
}

/// One file to upload.
#[derive(Clone, Debug)]
pub struct File {
    /// Its bytes.
    pub content: Content,
    /// Its size in bytes.
    pub size: u64,
    /// The service has these bytes already.
    pub known: bool,
    /// The user asks it to stop at this time.
    pub stop: Option<(Duration, Stop)>,
    /// `create` is refused for this reason.
    pub refused: Option<Class>,
}

/// What the gateway says when it gives up on a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineAnswer {
    /// HTTP 500 with the framework's own words.
    Words,
    /// HTTP 500 with nothing in it.
    Empty,
    /// The connection is reset before the answer is read.
    Reset,
}

/// Something that happens at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed {
    /// The uplink goes away or comes back.
    Down(bool),
    /// The uplink changes to so many bytes per second.
    Uplink(f64),
    /// A server changes to so many bytes per second; 0 kills it.
    Server(usize, f64),
    /// The access token is no longer good.
    TokenExpires,
    /// No access token is good any more.
    LockedOut,
    /// The service forgets all unfinished uploads.
    Forget,
    /// The source of this file cannot be read any more.
    SourceFails(usize),
}

/// When a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// At this time.
    At(Duration),
    /// Right before it carries out its so-manieth action, counted over all processes.
    BeforeAction(u64),
}

/// What goes wrong with single requests.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How likely it is that something goes wrong with a request, from 0 to 1.
    pub rate: f64,
    /// After so many faults nothing goes wrong any more.
    pub budget: u32,
    /// What may go wrong; one is chosen.
    pub kinds: Vec<Fault>,
    /// Answers to dropped requests come in all the same, and good answers come twice.
    pub echoes: bool,
}

/// What may go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks while the body goes out.
    Break,
    /// Nothing moves for up to a minute.
    Stall,
    /// The request never arrives.
    Lost,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is done, and the answer takes up to two minutes, longer than the client waits.
    AnswerLate,
    /// HTTP 5xx, and nothing was done.
    Fails,
    /// HTTP 5xx, although it was done.
    FailsLate,
    /// Too many requests, says the service, whatever the rate.
    Throttled,
    /// The bytes of a slice are mangled on their way.
    Mangled,
    /// The answer is not what the protocol promises.
    Garbage,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 10] = [
        Self::Break,
        Self::Stall,
        Self::Lost,
        Self::AnswerLost,
        Self::AnswerLate,
        Self::Fails,
        Self::FailsLate,
        Self::Throttled,
        Self::Mangled,
        Self::Garbage,
    ];
}

impl Scenario {
    /// Files of these sizes over this network, to a service that does all it can.
    pub fn calm(shape: Shape, sizes: &[u64]) -> Self {
        let files = sizes.iter().zip(1..).map(|(&size, content)| File {
            content: Content(content),
            size,
            known: false,
            stop: None,
            refused: None,
        });
        Self {
            seed: 1,
            shape,
            servers: vec![1e12; 2],
            manners: Manners {
                slice_size: 16 << 20,
                servers: 2,
                names_no_server: false,
                verify: Duration::from_millis(500),
                verify_failures: 0,
                verifies: true,
                limits: Limits::NONE,
                retry_after: None,
            },
            line: Duration::from_secs(60),
            line_answer: LineAnswer::Words,
            faults: Faults::default(),
            deeds: vec![],
            kills: vec![],
            files: files.collect(),
            at_once: 4,
            look_every: Duration::from_millis(200),
            policy: Policy::default(),
            link: LinkPolicy::default(),
        }
    }

    /// Bytes of all files that the service does not have.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.known).map(|file| file.size).sum()
    }

    /// The least time in which the bytes can go out, if nothing goes wrong.
    pub fn ideal(&self) -> Duration {
        Duration::from_secs_f64(self.bytes() as f64 / self.shape.uplink)
    }
}
