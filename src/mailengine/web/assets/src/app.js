// The whole script of the UI. Lists, forms and links work without it; live progress, the theme switch, local times,
// dialogs that ask, and the editor need it.
import "./htmx.js";
import "basecoat-css/basecoat.min";
import "basecoat-css/toast.min";

import { showBusyOnSubmit } from "./busy.js";
import { askBeforeSubmit } from "./confirm.js";
import { copyOnClick } from "./copy.js";
import { openDialogs } from "./dialogs.js";
import { loadWhatThePageNeeds } from "./lazy.js";
import { keepPlace } from "./navigate.js";
import { previewWhileTyping } from "./preview.js";
import { selectRows } from "./select.js";
import { showLocalTimes } from "./times.js";
import { startThemeSwitch } from "./theme.js";
import { keepToastsInSight, toast } from "./toast.js";
import { keepTyping } from "./typing.js";
import { sendFiles } from "./upload.js";

document.documentElement.dataset.js = "";
startThemeSwitch();
askBeforeSubmit();
showBusyOnSubmit();
openDialogs();
copyOnClick();
selectRows();
keepPlace();
previewWhileTyping();
keepTyping();
keepToastsInSight();
sendFiles();

function prepare() {
  showLocalTimes(document);
  loadWhatThePageNeeds(document);
}
prepare();
document.addEventListener("htmx:after:swap", prepare);
// A request that got no answer at all must not look like one that did something (P0-07).
document.addEventListener("htmx:error", () => toast("error", "The server did not answer."));
