//! The program `netadapt-data`; see `netadapt::cli`.

fn main() -> std::process::ExitCode {
    netadapt::cli::netadapt_data()
}
