//! Starts servers at once and shows how soon they are a full mesh, beside nats-server; `--help` tells how.

use std::process::ExitCode;

use onehop_tests::command_line::{self, write_out};
use onehop_tests::formation::form;
use onehop_tests::formation::options::{Options, USAGE};
use onehop_tests::formation::report::{Rounds, render};
use onehop_tests::server::Kind;

fn main() -> ExitCode {
    command_line::run(USAGE, Options::parse(std::env::args().skip(1)), formation)
}

fn formation(options: &Options) -> ExitCode {
    let kinds = Kind::chosen(&options.binaries);
    if kinds.is_empty() {
        return ExitCode::from(2);
    }
    let mut shapes: Vec<_> =
        options.shapes.iter().map(|shape| (*shape, vec![Rounds::new(); kinds.len()])).collect();
    for round in 1..=options.rounds {
        for (shape, columns) in &mut shapes {
            for (kind, column) in kinds.iter().zip(columns) {
                let Some(found) = form(*kind, *shape, options.nodes) else { return ExitCode::from(2) };
                eprintln!("round {round}, {shape:?}, {kind}: {found:?}");
                column.push(found);
            }
        }
    }
    let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    write_out(render(&names, &shapes));
    ExitCode::SUCCESS
}
