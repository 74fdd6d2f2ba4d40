import CPan123
import Synchronization

/// What the parts of this package that know of an upload share: who listens, and who waits for its end.
final class Run: Sendable {
    let handle: Handle
    private let state = Mutex(State())

    private struct State {
        /// Starts, and last events. An upload that was paused starts again, perhaps before the event that says so came.
        var starts = 0
        var ends = 0
        /// It will not start (again).
        var isFinal = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var listeners: [Int: Listener] = [:]
        var nextListener = 0

        var isOver: Bool { starts == ends }

        mutating func takeWaiting() -> [CheckedContinuation<Void, Never>] {
            guard isOver else { return [] }
            defer { waiting = [] }
            return waiting
        }
    }

    private struct Listener {
        let tell: @Sendable (UploadEvent) -> Void
        let finish: @Sendable () -> Void
    }

    init(_ handle: Handle) { self.handle = handle }

    deinit { close() }

    /// A start is about to be made.
    func starting() { state.withLock { $0.starts += 1 } }

    /// It could not be made; with `isFinal`, nor will it ever be. True if the upload does not run.
    func notStarted(isFinal: Bool) -> Bool {
        let (isOver, waiting) = state.withLock { state in
            state.starts -= 1
            return (state.isOver, state.takeWaiting())
        }
        waiting.forEach { $0.resume() }
        if isOver && isFinal { close() }
        return isOver
    }

    /// It was cancelled, perhaps before it started: then no event tells that.
    func cancelled() {
        if state.withLock({ $0.starts == 0 }) { close() }
    }

    /// Nothing comes any more.
    private func close() {
        let listeners = state.withLock { state in
            state.isFinal = true
            defer { state.listeners = [:] }
            return state.listeners.values.map(\.finish)
        }
        listeners.forEach { $0() }
    }

    /// Returns once the upload does not run (any more).
    func end() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if !state.isOver { state.waiting.append(continuation) }
                return state.isOver
            }
            if isOver { continuation.resume() }
        }
    }

    /// Events from now on, `limit` of them at most while nobody takes them; then the oldest are left out.
    func stream<Element: Sendable>(
        limit: Int, _ element: @escaping @Sendable (UploadEvent) -> Element?
    ) -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(of: Element.self, bufferingPolicy: .bufferingNewest(limit))
        let listener = Listener(
            tell: { event in if let element = element(event) { continuation.yield(element) } },
            finish: { continuation.finish() })
        let key: Int? = state.withLock { state in
            guard !state.isFinal else { return nil }
            state.nextListener += 1
            state.listeners[state.nextListener] = listener
            return state.nextListener
        }
        guard let key else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: key) }
        }
        return stream
    }

    /// Takes an event of the library's. `forget` is called with the last one.
    func take(_ event: pan123_event, forget: () -> Void) {
        let text = string(event.text) ?? ""
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
        case PAN123_EV_PAUSED: news = .paused
        default: return
        }
        let isLast = event.kind >= UInt32(PAN123_EV_COMPLETED)
        let (listeners, isOver, waiting) = state.withLock { state in
            if isLast {
                state.ends += 1
                state.isFinal = Int32(event.kind) != PAN123_EV_PAUSED
            }
            let listeners = Array(state.listeners.values)
            if isLast && state.isOver { state.listeners = [:] }
            return (listeners, isLast && state.isOver, state.takeWaiting())
        }
        listeners.forEach { $0.tell(news) }
        if isOver {
            forget()
            listeners.forEach { $0.finish() }
        }
        waiting.forEach { $0.resume() }
    }
}
