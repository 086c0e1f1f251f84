/** Entry of the command line, started by bin/tabdit.mjs. */
import packageJson from '../../package.json';

const usage = `tabdit ${packageJson.version}: ${packageJson.description}

usage: tabdit --help | --version`;

const [first] = process.argv.slice(2);
if (first === '--help' || first === '-h') {
  console.log(usage);
} else if (first === '--version') {
  console.log(packageJson.version);
} else {
  console.error(first === undefined ? usage : `tabdit: command: must be one that exists: ${first}`);
  process.exitCode = 2;
}
