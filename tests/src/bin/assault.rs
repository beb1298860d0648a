//! Attacks NATS servers side by side and shows what that does to everybody else; `--help` tells how.

use std::process::ExitCode;

use onehop_tests::assault::attacks::{ALL, Attack, choose};
use onehop_tests::assault::options::{Options, USAGE};
use onehop_tests::assault::report::{Verdict, render, render_row, verdict};
use onehop_tests::assault::run::{Row, run};
use onehop_tests::command_line::{self, write_out};
use onehop_tests::load::process::raise_open_file_limit;
use onehop_tests::say;

fn main() -> ExitCode {
    let parsed = Options::parse(std::env::args().skip(1));
    let chosen = parsed.and_then(|options| {
        let Some(options) = options else { return Ok(None) };
        Ok(Some((choose(&options.rows)?, options)))
    });
    command_line::run(USAGE, chosen, |(attacks, options)| assault(attacks, options))
}

fn assault(attacks: &[Attack], options: &Options) -> ExitCode {
    if options.list {
        ALL.iter().for_each(|attack| say!("{:<22} {}", attack.name, attack.what));
        return ExitCode::SUCCESS;
    }
    let arenas = options.arenas();
    if arenas.is_empty() {
        return ExitCode::from(2);
    }
    // Where that fails, the attacks are as large as the limit allows, and say so.
    let _ = raise_open_file_limit();
    let names: Vec<String> = arenas.iter().map(|arena| arena.kind.to_string()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for &attack in attacks {
        let row = run(attack, &arenas, options.rounds);
        eprint!("{}", render_row(&row));
        rows.push(row);
    }
    write_out(render(&names, &rows));
    let is_harmed = |row: &Row| matches!(verdict(row), Verdict::Worse(_) | Verdict::Failed);
    if rows.iter().any(is_harmed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
