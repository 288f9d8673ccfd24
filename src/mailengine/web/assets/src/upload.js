import { toast } from "./toast.js";

// A file goes to the server as it is, as soon as it is chosen or dropped (molecules/upload.html); the bar says how far
// it is. XMLHttpRequest, because fetch does not tell what was sent so far.
export function sendFiles() {
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-upload]");
    if (form && event.target.files?.length) send(form, event.target.files[0]);
  });
  for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(name, (event) => {
      event.target.closest?.(".drop-zone")?.toggleAttribute("data-over", over);
    });
  }
}

function send(form, file) {
  const request = new XMLHttpRequest();
  const bar = form.querySelector("progress");
  const percent = form.querySelector("[data-upload-percent]");
  form.querySelector("[data-upload-name]").textContent = file.name;
  form.querySelector("[data-upload-cancel]").onclick = () => request.abort();
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = total ? (100 * loaded) / total : 0;
    percent.textContent = loaded < total ? `${Math.floor(bar.value)} %` : "Reading …";
  };
  request.onload = () => arrived(form, request);
  request.onerror = () => {
    rest(form);
    toast("error", "The file did not arrive.");
  };
  request.onabort = () => rest(form);
  request.open("POST", `${form.dataset.upload}?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("x-csrftoken", form.elements._csrf_token.value);
  request.setRequestHeader("hx-request", "true"); // an error comes as a toast
  request.setRequestHeader("content-type", "application/octet-stream");
  show(form, true);
  request.send(file);
}

function arrived(form, request) {
  const to = request.getResponseHeader("Location") ?? request.getResponseHeader("HX-Redirect");
  if (to) {
    location.assign(to);
    return;
  }
  rest(form);
  document.getElementById("toaster").insertAdjacentHTML("beforeend", request.responseText);
}

function rest(form) {
  show(form, false);
  form.reset();
}

function show(form, busy) {
  const place = form.querySelector("[data-upload-progress]");
  place.classList.toggle("hidden", !busy);
  place.classList.toggle("flex", busy);
  form.querySelector("progress").removeAttribute("value");
  form.elements.file.disabled = busy;
}
