// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [.package(path: "..")],
    targets: [
        .executableTarget(
            name: "cost", dependencies: [.product(name: "Pan123", package: "swift")], path: ".", sources: ["Cost.swift"])
    ],
    swiftLanguageModes: [.v6]
)
