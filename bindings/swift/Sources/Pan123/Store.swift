import CPan123

/// A place of your own where unfinished uploads are remembered: bytes under a key, one entry per upload.
///
/// Called on threads of the library; calls for different keys overlap, and may block. An upload whose `load` fails ends
/// with ``Pan123Error/Kind/store``; one whose `save` or `remove` fails goes on, says so in an event, and can then not be
/// resumed by another run. Keys are 1 to 64 characters of `a-z`, `0-9` and `-`. A store that
/// uses its own client holds it weakly.
public protocol ResumeStore: Sendable {
    /// What was saved last under `key`; `nil` if there is no such key.
    func load(_ key: String) throws -> [UInt8]?
    /// Keeps `bytes` under `key` instead of what was there, whole or not at all, and returns when it is safe.
    func save(_ bytes: [UInt8], for key: String) throws
    /// Forgets `key`; there may be no such key.
    func remove(_ key: String) throws
}

func handle(_ api: cpan123_functions, of store: any ResumeStore) throws(Pan123Error) -> Handle {
    typealias HeldStore = Held<any ResumeStore>
    var table = pan123_store_vtable()
    table.h = head(of: pan123_store_vtable.self, release: { HeldStore.release($0) })
    table.load = { context, key, length, sink, error in
        let held = HeldStore.at(context)
        return held.answer(error, or: .store) {
            guard let bytes = try held.object.load(text(key, length)) else { return }
            try held.api.check { _ in bytes.withUnsafeBufferPointer { held.api.sink_put(sink, $0.baseAddress, $0.count) } }
        }
    }
    table.save = { context, key, keyLength, data, length, error in
        let held = HeldStore.at(context)
        return held.answer(error, or: .store) {
            try held.object.save(Array(UnsafeBufferPointer(start: data, count: length)), for: text(key, keyLength))
        }
    }
    table.remove = { context, key, length, error in
        let held = HeldStore.at(context)
        return held.answer(error, or: .store) { try held.object.remove(text(key, length)) }
    }
    return try Handle(api, free: api.store_free) { out, error in
        api.store_new(&table, HeldStore.hold(store, api), out, error)
    }
}
