// Writes package-lock.json anew (`npm run lock`), complete for every platform and without one address in it:
// the lock must not tie an installation to a registry, and npm leaves platform packages out of a lock that
// it derives from an existing node_modules (so that `npm ci` fails elsewhere).
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";

const LOCK = "package-lock.json";

rmSync(LOCK, { force: true });
rmSync("node_modules", { recursive: true, force: true });
execFileSync(process.execPath, [process.env.npm_execpath, "install", "--package-lock-only"], { stdio: "inherit" });

const lock = JSON.parse(readFileSync(LOCK, "utf8"));
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  delete entry.funding;
}
writeFileSync(LOCK, JSON.stringify(lock, null, 2) + "\n");
