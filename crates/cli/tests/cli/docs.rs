//! Every command is on the page about the command line.

use postfleet_cli::program;
