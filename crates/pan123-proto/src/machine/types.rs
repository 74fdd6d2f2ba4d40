//! What goes into the machine and what comes out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Failure, Md5, Slice};

/// What to upload, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSpec {
    /// Folder that receives the file; 0 is the root.
    pub parent_id: i64,
    /// File name, or a path from the folder on when `contain_dir` is set. Already checked.
    pub filename: String,
    /// `filename` is a path; missing folders are made.
    pub contain_dir: bool,
    /// What happens when the name is taken; `None` leaves it to the service.
    pub duplicate: Option<Duplicate>,
    /// File size in bytes.
    pub size: u64,
}

/// The service's `duplicate` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicate {
    /// 1: keep both, the new one gets a suffix.
    KeepBoth,
    /// 2: replace the old file; the file id changes.
    Overwrite,
}

/// All digests of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// MD5 of the whole file.
    pub etag: Md5,
    /// Slice size in bytes that `slices` was made with.
    pub slice_size: u64,
    /// MD5 of each slice, in file order; one for an empty file.
    pub slices: Arc<[Md5]>,
}

/// One try of one request, unique within an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TryId(pub u64);

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Compute the digests with this slice size; answer with [`Input::Hashed`]. With `again`, do not
    /// trust a cache: the service found that the last digests do not fit the bytes.
    Hash {
        /// Slice size in bytes.
        slice_size: u64,
        /// Read the bytes anew.
        again: bool,
    },
    /// Send a request; answer with [`Input::Replied`] or [`Input::Failed`].
    Send {
        /// To be named in the answer.
        id: TryId,
        /// What to send.
        call: Call,
    },
    /// Drop a request that is still running. No answer is expected any more.
    Abort {
        /// The try to drop.
        id: TryId,
    },
    /// Add a record to the journal.
    Save {
        /// The record.
        record: Record,
        /// It must be on disk before the next action is asked for.
        durable: bool,
    },
    /// Tell whoever watches.
    Tell(Event),
    /// The upload is over. Nothing comes after this.
    Finish(Outcome),
}

/// A request to send.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `create`, with the upload's [`UploadSpec`] and this etag.
    Create {
        /// MD5 of the whole file.
        etag: Md5,
    },
    /// One slice.
    Slice {
        /// Upload host as `create` named it.
        server: Arc<str>,
        /// From `create`.
        preupload_id: Arc<str>,
        /// Which bytes.
        slice: Slice,
        /// Their MD5.
        md5: Md5,
    },
    /// `upload_complete`.
    Complete {
        /// From `create`.
        preupload_id: Arc<str>,
    },
    /// `domain`: asks for upload hosts.
    Domain,
    /// `single/create`: the whole file in one request.
    Single {
        /// Upload host as `domain` named it.
        server: Arc<str>,
        /// MD5 of the whole file.
        etag: Md5,
    },
    /// `list`: looks for a file of this name, size and etag where the upload puts it, in the parent folder or on its path
    /// from there.
    Find {
        /// MD5 of the whole file.
        etag: Md5,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The digests are known.
    Hashed(Digests),
    /// The source cannot be read, or is not what it was. Ends the upload.
    SourceFailed(Failure),
    /// A request was answered with what was hoped for.
    Replied {
        /// The try.
        id: TryId,
        /// The answer.
        reply: Reply,
    },
    /// A request failed.
    Failed {
        /// The try.
        id: TryId,
        /// Why.
        failure: Failure,
        /// Body bytes that the connection had taken by then.
        sent: u64,
    },
    /// A body moved on: how many of its bytes the connection has taken. Given every 100 to 500 ms while a body goes out.
    Moved {
        /// The try.
        id: TryId,
        /// Body bytes so far.
        sent: u64,
    },
    /// Stop, keeping what a resume needs.
    Stop(Stop),
}

/// Why an upload is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The user gave up.
    Cancel,
    /// The user will go on later.
    Pause,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `create`: the service wants the bytes.
    Created {
        /// Names the upload.
        preupload_id: Arc<str>,
        /// How to cut the file, in bytes.
        slice_size: u64,
        /// Upload hosts, as the service wrote them, already made safe by the driver.
        servers: Vec<Arc<str>>,
    },
    /// `create`: the service has the bytes already. Also `single/create` and `upload_complete`: stored.
    Stored {
        /// The new file.
        file_id: i64,
    },
    /// `slice`: taken, or there already.
    SliceTaken,
    /// `upload_complete`, `single/create` or `list`: not (yet) there.
    NotYet,
    /// `upload_complete`: stored, it says, but without the id that would prove it.
    Nameless,
    /// `domain`: upload hosts.
    Hosts(Vec<Arc<str>>),
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The digests.
    Hashed(Digests),
    /// A request that may store the file by itself, `create` or `single/create`, is about to go out.
    Asked,
    /// `create` was answered.
    Created {
        /// Names the upload.
        preupload_id: Arc<str>,
        /// Slice size in bytes.
        slice_size: u64,
        /// Upload hosts.
        servers: Vec<Arc<str>>,
    },
    /// A slice was acknowledged.
    Slice {
        /// `sliceNo`.
        no: u32,
    },
    /// All slices were acknowledged and `upload_complete` is about to be asked.
    Completing,
    /// What was known of the upload at the service is void; what follows starts anew.
    Restarted,
    /// The file is stored. The last record, unless it turns out that the source is another one by now.
    Done(Completed),
}

/// News for an observer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The upload entered a stage.
    Stage {
        /// Which.
        stage: Stage,
    },
    /// A slice was acknowledged.
    Slice {
        /// `sliceNo`.
        no: u32,
        /// How many are acknowledged now.
        done: u32,
        /// How many there are.
        count: u32,
    },
    /// A request failed and will be sent again.
    Retry {
        /// Which call.
        step: &'static str,
        /// `sliceNo`, for a slice.
        #[serde(skip_serializing_if = "Option::is_none")]
        slice_no: Option<u32>,
        /// Which try failed, from 1.
        attempt: u32,
        /// When it goes again, in milliseconds from now.
        wait_ms: u64,
        /// Why, in the server's words where there are any.
        reason: String,
    },
    /// The number of slices in flight changes.
    Parallel {
        /// The new limit.
        slices: u32,
        /// Why.
        reason: &'static str,
    },
    /// The upload starts over from `create`.
    Restart {
        /// Why.
        reason: String,
    },
}

/// The stages of an upload, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Digests are being computed.
    Hashing,
    /// `create` is under way.
    Creating,
    /// Slices (or the whole file in one request) go out.
    Sending,
    /// All bytes are acknowledged; the service merges and checks.
    Completing,
    /// Over.
    Done,
}

/// How an upload ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The service holds exactly these bytes.
    Completed(Completed),
    /// It stopped for this reason.
    Failed(Failed),
    /// As asked. What is acknowledged is kept for a resume.
    Stopped(Stop),
}

/// A finished upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// The file at the service.
    pub file_id: i64,
    /// MD5 of the whole file.
    pub etag: Md5,
    /// Slices of the plan; 0 when no slice was needed.
    pub slices: u32,
    /// The service had the bytes already and none were sent.
    pub reused: bool,
}

/// A failed upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What kind of end it is.
    pub kind: FailedKind,
    /// The failure that ended it.
    pub failure: Failure,
    /// `sliceNo`, if a slice ended it.
    pub slice_no: Option<u32>,
    /// How often that request was tried.
    pub attempts: u32,
    /// What to do about it, in a sentence.
    pub advice: String,
    /// A later run can go on from here.
    pub resumable: bool,
}

/// The kinds of failed uploads. Each has one exit code of the program and one C status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailedKind {
    /// The source could not be read, or changed while it went out.
    Source,
    /// The service does not let us in.
    Login,
    /// The service, or the program's own code, refused the upload for a reason of its own (name, folder, space, …).
    Refused,
    /// The stored bytes do not have the declared etag, twice.
    Verify,
    /// Network or service kept failing; what is acknowledged is kept.
    GaveUp,
    /// The uplink cannot pass one slice before the gateway drops it.
    SlowUplink,
    /// The service broke its protocol.
    Protocol,
}

impl Failed {
    /// `created`: the service knows of the upload, and the journal of what it has.
    pub(super) fn new(
        kind: FailedKind,
        failure: Failure,
        slice_no: Option<u32>,
        attempts: u32,
        created: bool,
    ) -> Self {
        let resumable = match kind {
            FailedKind::GaveUp | FailedKind::SlowUplink | FailedKind::Login | FailedKind::Protocol => true,
            FailedKind::Refused => {
                let may_pass = [crate::Class::NoSpace, crate::Class::Blocked, crate::Class::HostCode];
                // An upload that the service has forgotten is nothing to go on with.
                (created && failure.class != crate::Class::NotFound) || may_pass.contains(&failure.class)
            }
            FailedKind::Source | FailedKind::Verify => false,
        };
        let class_advice = crate::advice(failure.class, failure.endpoint);
        let advice = match kind {
            FailedKind::GaveUp if failure.class == crate::Class::Connect && !created => {
                "check the network, the host name and the proxy settings, and run the same command again"
            }
            FailedKind::GaveUp if failure.class == crate::Class::Connect => {
                "check the network, the host name and the proxy settings, and run the same command again: it goes on from the last acknowledged slice"
            }
            // More of the same would not help.
            FailedKind::GaveUp if matches!(failure.class, crate::Class::Tls | crate::Class::RateLimited) => {
                class_advice
            }
            FailedKind::GaveUp if !created => "run the same command again",
            FailedKind::GaveUp => "run the same command again: it goes on from the last acknowledged slice",
            FailedKind::SlowUplink => {
                "use a faster uplink, or stop what else uses this one, and run the same command again"
            }
            FailedKind::Source => "check the file and start again; nothing wrong was stored",
            FailedKind::Verify => {
                "the bytes did not arrive as they were sent, twice; start again, and report the trace id if it persists"
            }
            FailedKind::Login | FailedKind::Refused | FailedKind::Protocol => class_advice,
        };
        Self { kind, failure, slice_no, attempts, advice: advice.into(), resumable }
    }

    /// The same of an upload whose journal could not be kept, so that no other run can go on from it.
    #[must_use]
    pub fn not_kept(self) -> Self {
        let Self { kind, failure, slice_no, attempts, resumable, .. } = self;
        Self { resumable, ..Self::new(kind, failure, slice_no, attempts, false) }
    }
}
