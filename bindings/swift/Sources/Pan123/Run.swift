import CPan123
import Synchronization

private let shutDownError = Pan123Error(.shutDown, "the client was shut down; make a new one")

/// What the parts of this package that know of an upload share: whether it runs, who listens, and who waits for its end.
final class Run: Sendable {
    let handle: Handle
    /// What the library's events call it.
    let id: UInt64
    private let underWay: UnderWay
    private let state = Mutex(State())

    private struct State {
        /// Starts, and last events. An upload that was paused starts again, perhaps before the event that says so came.
        var starts = 0
        var ends = 0
        /// The last end was a pause.
        var isPaused = false
        /// What a callback threw that failed it.
        var origin: (any Error)?
        /// It will not start (again).
        var isFinal = false
        var isCancelled = false
        /// The client was shut down before it was started.
        var isShut = false
        /// It counts as running, and has a last event to come.
        var isUnderWay = false
        var waiting: [CheckedContinuation<Pan123Error?, Never>] = []
        var listeners: [Int: Listener] = [:]
        var nextListener = 0

        /// It does not run.
        var rests: Bool { starts <= ends }

        /// What `cancel` and `pause` made of an upload that rests. The library may know of no cancel that came after a pause.
        var stop: Pan123Error? {
            guard rests, isPaused || ends == 0 else { return nil }
            if isShut { return shutDownError }
            if isCancelled { return Pan123Error(.cancelled, "the upload was cancelled, as asked; make a new one") }
            return isPaused ? Pan123Error(.paused, "the upload was paused, as asked; start() goes on") : nil
        }

        mutating func takeListeners() -> [Listener] {
            defer { listeners = [:] }
            return Array(listeners.values)
        }
    }

    /// Whom to tell that it does not run any more.
    private struct Ending {
        let listeners: [Listener]
        let waiting: [CheckedContinuation<Pan123Error?, Never>]
        let stop: Pan123Error?
        let unwanted: [Task<Void, Never>]
    }

    private struct Listener {
        let tell: @Sendable (UploadEvent) -> Void
        let finish: @Sendable () -> Void
    }

    init(_ handle: Handle, _ id: UInt64, _ underWay: UnderWay) {
        (self.handle, self.id, self.underWay) = (handle, id, underWay)
        underWay.know(self)
    }

    deinit {
        underWay.forget(self)
        state.withLock { $0.takeListeners() }.forEach { $0.finish() }
    }

    /// A start is about to be made. Throws if it must not be.
    func starting() throws(Pan123Error) {
        let refusal: Pan123Error? = state.withLock { state in
            if underWay.isShut { return shutDownError }
            if state.isCancelled, let stop = state.stop { return stop }
            state.starts += 1
            state.origin = nil
            if !state.isUnderWay {
                state.isUnderWay = true
                underWay.begin(self)
            }
            return nil
        }
        if let refusal { throw refusal }
    }

    /// It could not be made; with `isFinal`, nor will it ever be.
    func notStarted(isFinal: Bool) {
        settle { state in
            state.starts -= 1
            if isFinal && state.rests { state.isFinal = true }
        }
    }

    /// It is to be cancelled.
    func willCancel() { state.withLock { $0.isCancelled = true } }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// The library was told to cancel it. If it rests, no event tells that.
    func cancelled() { close(telling: .cancelled) }

    /// The client was shut down.
    func shutDown(cancel: Bool) {
        state.withLock { state in
            if state.starts == 0, !state.isCancelled {
                state.isShut = true
            } else if cancel {
                state.isCancelled = true
            }
        }
        if cancel {
            close(telling: .cancelled)
        } else {
            close(telling: nil)
        }
    }

    /// Nothing comes any more, if it rests.
    private func close(telling last: UploadEvent?) {
        let listeners: [Listener] = state.withLock { state in
            guard state.rests, !state.isFinal else { return [] }
            state.isFinal = true
            return state.takeListeners()
        }
        for listener in listeners {
            if let last { listener.tell(last) }
            listener.finish()
        }
    }

    /// Changes the state, and if it does not run then, lets everybody know. `news` is for those who listen until then.
    private func settle(_ change: (inout State) -> Void, news: UploadEvent? = nil) {
        let (told, ending): ([Listener], Ending?) = state.withLock { state in
            change(&state)
            let told = Array(state.listeners.values)
            guard state.rests, state.isUnderWay else { return (told, nil) }
            state.isUnderWay = false
            defer { state.waiting = [] }
            // A first start that failed is no end, if the next one may succeed.
            return (
                told,
                Ending(
                    listeners: state.ends > 0 || state.isFinal ? state.takeListeners() : [], waiting: state.waiting,
                    stop: state.stop, unwanted: underWay.end(self))
            )
        }
        if let news { told.forEach { $0.tell(news) } }
        guard let ending else { return }
        ending.listeners.forEach { $0.finish() }
        ending.waiting.forEach { $0.resume(returning: ending.stop) }
        ending.unwanted.forEach { $0.cancel() }
    }

    /// What became of it if it rests and was cancelled or paused.
    var stop: Pan123Error? { state.withLock { $0.stop } }

    /// What a callback threw that failed it, however long ago.
    var origin: (any Error)? { state.withLock { $0.origin } }

    /// Returns once the upload does not run (any more), with what `stop` is then.
    func end() async -> Pan123Error? {
        await withCheckedContinuation { continuation in
            let stop: Pan123Error?? = state.withLock { state in
                if state.rests { return .some(state.stop) }
                state.waiting.append(continuation)
                return nil
            }
            if let stop { continuation.resume(returning: stop) }
        }
    }

    /// Events from now on, `limit` of them at most while nobody takes them; then the oldest are left out. If there are
    /// none any more, `last` is all there is.
    func stream<Element: Sendable>(
        limit: Int, last: () -> Element?, _ element: @escaping @Sendable (UploadEvent) -> Element?
    ) -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(of: Element.self, bufferingPolicy: .bufferingNewest(limit))
        let listener = Listener(
            tell: { event in if let element = element(event) { continuation.yield(element) } },
            finish: { continuation.finish() })
        let key: Int? = state.withLock { state in
            if state.isFinal || (state.rests && underWay.isShut) { return nil }
            state.nextListener += 1
            state.listeners[state.nextListener] = listener
            return state.nextListener
        }
        guard let key else {
            if let last = last() { continuation.yield(last) }
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: key) }
        }
        return stream
    }

    /// Takes an event of the library's.
    func take(_ event: pan123_event) {
        let (text, origin) = Failures.read(string(event.text) ?? "")
        let news: UploadEvent
        switch Int32(event.kind) {
        case PAN123_EV_STATE: news = .stage(UploadStage(rawValue: UInt32(clamping: event.value)))
        case PAN123_EV_PROGRESS: news = .progress(UploadProgress(handle))
        case PAN123_EV_SLICE: news = .slice(Int(event.slice_no))
        case PAN123_EV_RETRY:
            let slice = event.slice_no == 0 ? nil : Int(event.slice_no)
            news = .retry(attempt: Int(event.value), slice: slice, reason: text)
        case PAN123_EV_LOG: news = .note(text)
        case PAN123_EV_COMPLETED: news = .completed(fileID: event.value)
        case PAN123_EV_FAILED: news = .failed(Pan123Error.Kind(rawValue: event.code), message: text)
        case PAN123_EV_CANCELLED: news = .cancelled
        case PAN123_EV_PAUSED: news = isCancelled ? .cancelled : .paused
        default: return
        }
        guard event.kind >= UInt32(PAN123_EV_COMPLETED) else {
            return settle({ _ in }, news: news)
        }
        settle({ state in
            state.ends += 1
            state.origin = origin
            state.isPaused = Int32(event.kind) == PAN123_EV_PAUSED
            state.isFinal = !state.isPaused || state.isCancelled
        }, news: news)
    }
}
