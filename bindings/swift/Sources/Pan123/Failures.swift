import CPan123
import Foundation
import Synchronization

/// What callbacks of one object threw. It is kept as long as the library has the object.
///
/// No more than the words of an error pass through the library, which cuts them, cleans them and hides secrets in them.
/// So a number stands before them on the way, and is taken off wherever words come back.
final class Failures: Sendable {
    private let numbers = Mutex<[UInt64]>([])
    private static let all = Mutex<[UInt64: any Error]>([:])
    private static let last = Atomic<UInt64>(0)
    /// More than can come between a failure and the end of what it fails.
    private static let most = 256

    deinit { Self.forget(numbers.withLock { $0 }) }

    /// What the library is told of `thrown`.
    func keep(_ thrown: any Error) -> String {
        let number = Self.last.add(1, ordering: .relaxed).newValue
        // Of an error that came through the library before, and is passed on, what it came of.
        let origin = (thrown as? Pan123Error)?.underlyingError ?? thrown
        Self.all.withLock { $0[number] = origin }
        let old = numbers.withLock { numbers in
            numbers.append(number)
            defer { numbers.removeFirst(max(numbers.count - Self.most, 0)) }
            return Array(numbers.dropLast(Self.most))
        }
        Self.forget(old)
        return "\(Self.mark)\(number)> \(words(of: thrown))"
    }

    private static func forget(_ numbers: [UInt64]) {
        // Freed after the lock is: with an error anything may go.
        let gone = all.withLock { all in numbers.map { all.removeValue(forKey: $0) } }
        withExtendedLifetime(gone) {}
    }

    /// Something that nobody else writes.
    private static let mark = "<\(String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)) "

    /// A text of the library's, and the error that it came of, if a callback threw one.
    static func read(_ text: String) -> (words: String, origin: (any Error)?) {
        var parts = text.split(separator: mark, omittingEmptySubsequences: false)[...]
        var words = String(parts.popFirst() ?? "")
        var origin: (any Error)?
        for part in parts {
            let digits = part.prefix { $0.isASCII && $0.isNumber }
            var rest = part.unicodeScalars.dropFirst(digits.count)
            for end: Unicode.Scalar in [">", " "] where rest.first == end { rest.removeFirst() }
            words.unicodeScalars += rest
            if origin == nil, let number = UInt64(digits) { origin = all.withLock { $0[number] } }
        }
        return (words, origin)
    }
}

/// What an error says of itself, on one line.
private func words(of thrown: any Error) -> String {
    let said =
        if let words = (thrown as? any LocalizedError)?.errorDescription {
            words
        } else if type(of: thrown) is NSError.Type || thrown is any CustomNSError {
            thrown.localizedDescription
        } else {
            String(describing: thrown)
        }
    // As the library has it, which else takes these words for others than its own, and tells both.
    let clean = said.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
    return String(String.UnicodeScalarView(clean))
}
