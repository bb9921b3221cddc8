// Builds the script and the style of the HTML report, and the licences of what is inside:
//
//     npm ci --ignore-scripts && node build.mjs [FOLDER]
//
// FOLDER is where report.js, report.css and THIRD_PARTY_LICENSES go, by default the package's. The same sources, lock file and
// esbuild give the same bytes.

import { build, transform } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "..", "pytest_precgate", "reports", "html", "data");

const built = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.mjs"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "ascii",
  legalComments: "none",
  metafile: true,
  write: false,
});
// A script element ends at the first "</script", wherever it stands.
const script = built.outputFiles[0].text.replaceAll("</script", "<\\/script");
writeFileSync(join(folder, "report.js"), script);
const style = await transform(readFileSync(join(here, "src", "report.css"), "utf8"), { loader: "css", minify: true });
writeFileSync(join(folder, "report.css"), style.code);

const inputs = Object.keys(built.metafile.inputs);
const names = new Set(inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(1) ?? []));
// Every copyright notice, and each text that is of several packages once.
const texts = new Map();
for (const name of [...names].sort()) {
  const root = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const [notice, ...terms] = readFileSync(join(root, "LICENSE"), "utf8").trim().split("\n");
  if (!notice.startsWith("Copyright")) throw new Error(`${name}: its licence begins without a notice of copyright`);
  const text = terms.join("\n").trim();
  texts.set(text, [...(texts.get(text) ?? []), `${name} ${version} (${license}), ${notice.trim()}`]);
}
const licences = [...texts].map(([text, of]) => `${of.join("\n")}\n\n${text}\n`);
writeFileSync(join(folder, "THIRD_PARTY_LICENSES"), licences.join(`\n${"-".repeat(80)}\n\n`));
console.log(`report.js: ${script.length} bytes; ${names.size} packages`);
