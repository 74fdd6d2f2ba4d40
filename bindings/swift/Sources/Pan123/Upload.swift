import CPan123

/// The upload of one source to one place. Does nothing until it is started.
///
/// Most programs call ``Client/upload(_:as:in:options:)``. This is for those that show progress, pause, and resume. An
/// upload that runs goes on when nobody holds this object any more; ``cancel()`` ends it.
public final class Upload: Sendable {
    private let run: Run

    init(_ handle: Handle, _ id: UInt64, _ underWay: UnderWay) {
        run = Run(handle, id, underWay)
    }

    /// Starts the upload. One that was paused goes on where it was. Throws ``Pan123Error/Kind/wrongState`` if it runs or is
    /// over, ``Pan123Error/Kind/cancelled`` if it was cancelled, ``Pan123Error/Kind/shutDown`` if its client was shut down. After
    /// ``pause()``, wait for ``value`` first: until then it still runs.
    public func start() throws(Pan123Error) {
        try run.starting()
        do {
            try run.handle.api.check { error in run.handle.lend { run.handle.api.upload_start($0, error) } }
        } catch {
            run.notStarted(isFinal: error.kind != .wrongState)
            throw error
        }
        // A cancel that came while it did not run yet.
        if run.isCancelled { run.handle.lend(run.handle.api.upload_cancel) }
    }

    /// Cancels the upload, at any time and any number of times, also one that was not started or is paused. It ends
    /// within 250 ms, and cannot be started again.
    public func cancel() {
        run.willCancel()
        run.handle.lend(run.handle.api.upload_cancel)
        run.cancelled()
    }

    /// Pauses an upload that runs. It is paused when ``value`` throws ``Pan123Error/Kind/paused``; ``start()`` then goes on where
    /// it was. Does nothing to one that does not run.
    public func pause() { run.handle.lend(run.handle.api.upload_pause) }

    /// What was stored, once the upload is over.
    ///
    /// Throws why it failed; ``Pan123Error/Kind/cancelled`` or ``Pan123Error/Kind/paused`` if it was ended so;
    /// ``Pan123Error/Kind/wrongState`` if it was not started, ``Pan123Error/Kind/shutDown`` if its client was shut down
    /// before that. When the task that waits is cancelled, the upload is
    /// cancelled, and this throws `CancellationError`.
    public var value: Uploaded {
        get async throws {
            try await withTaskCancellationHandler {
                try await ended()
            } onCancel: {
                cancel()
            }
        }
    }

    private func ended() async throws -> Uploaded {
        var outcome = outcome()
        switch outcome {
        case .failure(let error) where error.kind == .timeout:
            // It runs, so there is an end to come.
            let stop = await run.end()
            outcome = stop.map { .failure($0) } ?? self.outcome()
        case .failure(let error) where [.paused, .cancelled, .wrongState].contains(error.kind):
            if let stop = run.stop { outcome = .failure(stop) }
        default:
            break
        }
        do {
            return Uploaded(try outcome.get())
        } catch {
            if error.kind == .cancelled, Task.isCancelled { throw CancellationError() }
            throw error.underlyingError == nil ? error.coming(of: run.origin) : error
        }
    }

    /// How the last run ended, as the library has it.
    private func outcome() -> Result<Fields, Pan123Error> {
        Result { () throws(Pan123Error) in
            try run.handle.api.result { out, error in
                run.handle.lend { run.handle.api.upload_wait($0, 0, out, error) }
            }
        }
    }

    /// How far it is right now.
    public var progress: UploadProgress { UploadProgress(run.handle) }

    /// How far it is, each time that changes, from now until it is over. Who takes slowly gets the newest. If it is over
    /// already, there is one more: how far it came. Each sequence is for one reader; another reader gets one of its own here.
    public var progressUpdates: AsyncStream<UploadProgress> {
        let handle = run.handle
        return run.stream(limit: 1, last: { UploadProgress(handle) }) { event in
            switch event {
            case .progress(let progress): progress
            case .retry, .note: nil
            default: UploadProgress(handle)
            }
        }
    }

    /// What happens, from now until it is over. When more than a thousand events wait, the oldest are left out; the last
    /// one never is. Each sequence is for one reader; another reader gets one of its own here.
    public var events: AsyncStream<UploadEvent> {
        run.stream(limit: 1000, last: { nil }) { $0 }
    }

    /// The state of the upload, for ``Client/makeUpload(resuming:of:resumeKey:)``, perhaps in another process. It holds no
    /// secrets. Throws ``Pan123Error/Kind/wrongState`` if there is nothing yet to go on from, or nothing any more.
    public func export() throws(Pan123Error) -> [UInt8] {
        let fields = try run.handle.api.result { out, error in
            run.handle.lend { run.handle.api.upload_export($0, out, error) }
        }
        return fields.bytes(PAN123_F_STATE) ?? []
    }
}

/// What was stored.
public struct Uploaded: Sendable, Hashable {
    /// The file at the service.
    public let fileID: Int64
    /// MD5 of the whole, 32 hex digits in lower case.
    public let etag: String
    /// Size in bytes.
    public let size: UInt64
    /// Number of slices; 0 if a small file went whole, in one request.
    public let slices: Int
    /// The service had the bytes already, and none were sent. False for a small file that went whole.
    public let reused: Bool
    /// File bytes handed to connections, those sent again included.
    public let bytesSent: UInt64
    /// From start to end.
    public let elapsed: Duration

    init(_ fields: Fields) {
        fileID = fields.number(PAN123_F_FILE_ID) ?? 0
        etag = fields.text(PAN123_F_ETAG) ?? ""
        size = fields.size(PAN123_F_SIZE)
        slices = Int(fields.number(PAN123_F_SLICE_COUNT) ?? 0)
        reused = fields.number(PAN123_F_REUSED) == 1
        bytesSent = fields.size(PAN123_F_BYTES_SENT)
        elapsed = .milliseconds(fields.number(PAN123_F_ELAPSED_MS) ?? 0)
    }
}
