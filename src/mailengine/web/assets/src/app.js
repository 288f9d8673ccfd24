// The whole script of the UI. Everything works without it but live progress, the theme switch and local times.
import "./htmx.js";
import "basecoat-css/basecoat.min";
import "basecoat-css/toast.min";

import { showBusyOnSubmit } from "./busy.js";
import { showLocalTimes } from "./times.js";
import { startThemeSwitch } from "./theme.js";
import { toast } from "./toast.js";

document.documentElement.dataset.js = "";
startThemeSwitch();
showBusyOnSubmit();
showLocalTimes(document);

document.addEventListener("htmx:after:swap", () => showLocalTimes(document));
// A request that got no answer at all must not look like one that did something (P0-07).
document.addEventListener("htmx:error", () => toast("error", "The server did not answer."));
