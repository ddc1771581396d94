"use strict";

const find = (id) => document.getElementById(id);
const time = (value) => new Date(typeof value === "number" ? value * 1000 : value).toLocaleTimeString();
const bytes = (count) =>
  count < 1024 ? `${count} B` : count < 1048576 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1048576).toFixed(1)} MB`;

function cell(content, className = "", small = "") {
  const td = document.createElement("td");
  if (className) td.className = className;
  td.append(content);
  if (small) {
    const note = document.createElement("small");
    note.textContent = small;
    td.append(note);
  }
  return td;
}

function link(href, text) {
  const a = document.createElement("a");
  a.href = href;
  a.textContent = text;
  return a;
}

function fill(id, items, cells) {
  const rows = items.map((item) => {
    const tr = document.createElement("tr");
    tr.append(...cells(item));
    return tr;
  });
  find(id).replaceChildren(...rows);
  const empty = find(`${id}-empty`);
  if (empty) empty.hidden = items.length > 0;
}

function redrive(queue) {
  const button = document.createElement("button");
  button.textContent = "Try again";
  button.addEventListener("click", async () => {
    button.disabled = true;
    await fetch(`/_local/queues/${queue}/redrive`, { method: "POST" });
    await refresh();
  });
  return button;
}

function show(stand) {
  find("problem").hidden = !stand.problem;
  find("problem").textContent = stand.problem || "";
  find("state").textContent = stand.state;
  fill("queues", stand.queues, (queue) => [
    cell(queue.name, "", queue.function),
    cell(queue.waiting, "number"),
    cell(queue.in_flight, "number"),
    cell(queue.dead, queue.dead ? "number bad" : "number"),
    cell(queue.dead ? redrive(queue.name) : ""),
  ]);
  fill("mails", stand.mails, (mail) => [
    cell(time(mail.at), "time"),
    cell(link(`/_local/mails/${mail.id}`, mail.subject || "(no subject)"), "", mail.to),
  ]);
  fill("files", stand.files || [], (file) => [
    cell(time(file.at), "time"),
    cell(file.file_name, "", file.reason || `${file.type}, ${bytes(file.size)}`),
    cell(file.status, `status ${file.status}`),
  ]);
  fill("events", stand.events || [], (event) => [
    cell(time(event.at), "time"),
    cell(event.type),
    cell(event.actor || "", "", event.subject_id ? `${event.subject_type} ${event.subject_id}` : event.subject_type),
  ]);
}

async function refresh() {
  try {
    const answer = await fetch("/_local/state");
    show(await answer.json());
  } catch {
    find("problem").hidden = false;
    find("problem").textContent = "The stand does not answer; it may be restarting.";
  }
}

function snippets() {
  find("sign-in").textContent = `URL=${location.origin}/api/v1

curl $URL/auth/register \\
  -H 'Content-Type: application/json' \\
  -d '{"full_name": "You",
       "email": "you@example.com",
       "password": "correct horse battery"}'

TOKEN=$(curl -s $URL/auth/login \\
  -H 'Content-Type: application/json' \\
  -d '{"email": "you@example.com",
       "password": "correct horse battery"}' |
  grep -o '"access_token":"[^"]*' |
  cut -d'"' -f4)

curl $URL/users/me \\
  -H "Authorization: Bearer $TOKEN"`;
  for (const snippet of document.querySelectorAll(".snippet")) {
    const button = document.createElement("button");
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(snippet.querySelector("pre").textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    snippet.append(button);
  }
}

snippets();
refresh();
setInterval(() => document.hidden || document.activeElement?.closest("td button") || refresh(), 3000);
