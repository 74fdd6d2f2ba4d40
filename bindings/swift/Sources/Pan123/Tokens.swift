import CPan123

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// An access token of the service. Its text stands in no description of it.
public struct Token: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// The token itself.
    public var value: String
    /// When it expires, if that is known.
    public var expires: Date?

    /// A token.
    public init(_ value: String, expires: Date? = nil) {
        self.value = value
        self.expires = expires
    }

    init(_ fields: Fields) {
        value = fields.text(PAN123_F_TOKEN) ?? ""
        expires = fields.number(PAN123_F_EXPIRES_UNIX_MS).map { Date(timeIntervalSince1970: Double($0) / 1000) }
    }

    /// When it expires, and not the token.
    public var description: String { expires.map { "a token until \($0)" } ?? "a token" }

    /// Without the token.
    public var customMirror: Mirror { Mirror(self, children: ["expires": expires as Any]) }
}

/// Where access tokens come from.
public protocol TokenProvider: Sendable {
    /// Gives a token. Called for every request, one call at a time per client: keep what you have.
    ///
    /// `refused` is the token that the service has just turned down. Give another one then, preferably one that somebody
    /// else has fetched meanwhile: only three tokens of a client id live at a time. An error that is no ``Pan123Error``
    /// counts as ``Pan123Error/Kind/login``; throw one of the kind ``Pan123Error/Kind/network`` if another try may help.
    ///
    /// The task is cancelled when nothing of the client is under way any more that could want the token, as when it is
    /// shut down. A provider that uses its own client holds it weakly.
    func token(refused: String?) async throws -> Token
}

/// A token provider, with those who want tokens of it.
private final class Asking: Sendable {
    private let provider: any TokenProvider
    private let underWay: UnderWay

    init(_ provider: any TokenProvider, _ underWay: UnderWay) { (self.provider, self.underWay) = (provider, underWay) }

    func token(refused: String?) throws -> Token {
        let id = underWay.newID()
        defer { underWay.answered(id) }
        return try waiting { [provider] in
            try await provider.token(refused: refused)
        } started: { task in
            underWay.asks(id, task)
        }.get()
    }
}

func handle(
    _ api: cpan123_functions, of tokens: any TokenProvider, _ underWay: UnderWay
) throws(Pan123Error) -> Handle {
    var table = pan123_tokens_vtable()
    table.h = head(of: pan123_tokens_vtable.self, release: { Held<Asking>.release($0) })
    table.get = { context, refused, length, sink, expires, error in
        let held = Held<Asking>.at(context)
        let refused = refused.map { text($0, length) }
        return held.answer(error, or: .login) {
            let token = try held.object.token(refused: refused)
            var value = token.value
            try held.api.check { _ in value.withUTF8 { held.api.sink_put(sink, $0.baseAddress, $0.count) } }
            // A time that no clock reaches is as good as none.
            if let date = token.expires, let time = Int64(exactly: (date.timeIntervalSince1970 * 1000).rounded()) {
                expires?.pointee = time
            }
        }
    }
    return try Handle(api, free: api.tokens_free) { out, error in
        api.tokens_new(&table, Held<Asking>.hold(Asking(tokens, underWay), api), out, error)
    }
}
