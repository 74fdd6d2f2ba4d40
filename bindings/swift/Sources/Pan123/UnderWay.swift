import CPan123
import Synchronization

/// What a client has under way: its uploads, to which the library's events go, and its calls.
///
/// It is also who knows whether anybody wants an access token.
final class UnderWay: Sendable {
    private let state = Mutex(State())

    private struct State {
        /// Uploads that run. They are kept as long as they do.
        var running: [UInt64: Run] = [:]
        /// All uploads that somebody holds.
        var known: [UInt64: Weak] = [:]
        var nextID: UInt64 = 1
        /// Calls that wait.
        var calls = 0
        /// Tasks of the token provider.
        var asking: [UInt64: Task<Void, Never>] = [:]
        /// The client was shut down.
        var isShut = false

        var isIdle: Bool { running.isEmpty && calls == 0 }
    }

    private struct Weak {
        weak var run: Run?
    }

    /// A number for an upload, or for a question.
    func newID() -> UInt64 {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
    }

    /// There is an upload.
    func know(_ run: Run) { state.withLock { $0.known[run.id] = Weak(run: run) } }

    /// Nobody holds it any more.
    func forget(_ run: Run) { _ = state.withLock { $0.known.removeValue(forKey: run.id) } }

    /// From now on the upload gets its events.
    func begin(_ run: Run) { state.withLock { $0.running[run.id] = run } }

    /// It runs no more. Returns whom to cancel, see ``leave(_:)``.
    func end(_ run: Run) -> [Task<Void, Never>] { leave { _ = $0.running.removeValue(forKey: run.id) } }

    /// Counts a call for as long as `body` runs.
    func during<T>(_ body: () async throws -> T) async rethrows -> T {
        state.withLock { $0.calls += 1 }
        defer { leave { $0.calls -= 1 }.forEach { $0.cancel() } }
        return try await body()
    }

    /// When the last one that could want a token is gone, nobody waits for those that were asked for: their tasks are
    /// returned, to be cancelled. Whoever begins later asks anew.
    private func leave(_ change: (inout State) -> Void) -> [Task<Void, Never>] {
        state.withLock { state in
            change(&state)
            return state.isIdle ? Array(state.asking.values) : []
        }
    }

    /// The token provider is asked, by this task.
    func asks(_ id: UInt64, _ task: Task<Void, Never>) {
        let isWanted = state.withLock { state in
            state.asking[id] = task
            return !state.isIdle
        }
        if !isWanted { task.cancel() }
    }

    /// It has answered.
    func answered(_ id: UInt64) { _ = state.withLock { $0.asking.removeValue(forKey: id) } }

    /// The client was shut down: what does not run now never will.
    func shutDown(cancel: Bool) {
        let known = state.withLock { state in
            state.isShut = true
            return state.known.values.compactMap(\.run)
        }
        known.forEach { $0.shutDown(cancel: cancel) }
    }

    var isShut: Bool { state.withLock { $0.isShut } }

    /// A queue that pushes its events here.
    func queue(_ api: cpan123_functions) throws(Pan123Error) -> Handle {
        var table = pan123_observer_vtable()
        table.h = head(of: pan123_observer_vtable.self, release: { Held<UnderWay>.release($0) })
        table.on_event = { context, event in
            if let event = event?.pointee { Held<UnderWay>.at(context).object.take(event) }
        }
        return try Handle(api, free: api.queue_free) { out, error in
            api.queue_new(&table, Held<UnderWay>.hold(self, api), out, error)
        }
    }

    private func take(_ event: pan123_event) {
        let run = state.withLock { $0.running[event.user] }
        run?.take(event)
    }
}
