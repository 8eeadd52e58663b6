"use strict";
(() => {
  const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];
  const DEEP = 6;
  let api;

  // Everything from the document becomes text, never markup.
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  const words = (text) => String(text || "").split(/(`[^`]+`)/).map((part) =>
    part.length > 2 && part.startsWith("`") && part.endsWith("`") ? el("code", {}, part.slice(1, -1)) : part);

  const prose = (text) => String(text || "").split(/\n\s*\n/).filter(Boolean).map((paragraph) => el("p", {}, ...words(paragraph)));

  function resolve(value) {
    let steps = 0;
    while (value && value.$ref && steps++ < 20) {
      const parts = value.$ref.replace(/^#\//, "").split("/").map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
      value = parts.reduce((at, part) => (at ? at[part] : undefined), api);
    }
    return value || {};
  }

  const nameOf = (schema) => (schema && schema.$ref ? schema.$ref.split("/").pop() : "");

  // `X or null` is how optional things are written; it is shown as X with "or null".
  function flat(schema) {
    const whole = resolve(schema);
    const variants = (whole.anyOf || whole.oneOf || []).filter((one) => resolve(one).type !== "null");
    const nullable = variants.length < (whole.anyOf || whole.oneOf || []).length
      || (Array.isArray(whole.type) && whole.type.includes("null"));
    if (variants.length === 1) {
      const { anyOf, oneOf, ...rest } = whole;
      return { schema: { ...resolve(variants[0]), ...rest }, name: nameOf(variants[0]), nullable, variants: [] };
    }
    if (whole.allOf) {
      const parts = whole.allOf.map(resolve);
      const merged = Object.assign({}, ...parts, whole, { properties: Object.assign({}, ...parts.map((part) => part.properties || {})) });
      return { schema: merged, name: nameOf(schema), nullable, variants: [] };
    }
    return { schema: whole, name: nameOf(schema), nullable, variants };
  }

  function typeOf(given) {
    const { schema, name, nullable, variants } = flat(given);
    let type;
    if (variants.length) type = variants.map(typeOf).join(" or ");
    else if (schema.const !== undefined) type = JSON.stringify(schema.const);
    else if (schema.type === "array") type = "list of " + typeOf(schema.items || {});
    else type = [].concat(schema.type || (schema.properties ? "object" : "any")).filter((one) => one !== "null").join(" or ");
    if (schema.format && type === "string") type = schema.format === "binary" ? "file" : schema.format;
    if (schema.contentMediaType === "application/octet-stream") type = "file";
    if (name && (type === "object" || schema.enum)) type = name;
    return type + (nullable ? " or null" : "");
  }

  function rulesOf(schema) {
    const rules = [];
    if (schema.enum) rules.push("one of " + schema.enum.map((value) => JSON.stringify(value)).join(", "));
    if (schema.default !== undefined && schema.default !== null) rules.push("default " + JSON.stringify(schema.default));
    if (schema.minLength !== undefined || schema.maxLength !== undefined)
      rules.push((schema.minLength || 0) + "–" + (schema.maxLength ?? "∞") + " characters");
    if (schema.minimum !== undefined || schema.maximum !== undefined)
      rules.push((schema.minimum ?? "−∞") + " to " + (schema.maximum ?? "∞"));
    if (schema.pattern) rules.push("pattern " + schema.pattern);
    if (schema.additionalProperties === false) rules.push("no other fields");
    return rules.join(" · ");
  }

  function field(name, given, required, depth, seen, where) {
    const { schema } = flat(given);
    const line = el("li", {}, el("span", { class: "name" }, name), el("span", { class: "type" }, typeOf(given)),
      where ? el("span", { class: "where" }, "in " + where) : null, required ? el("span", { class: "required" }, "required") : null);
    line.append(...prose(given.description || schema.description));
    const rules = rulesOf({ ...schema, additionalProperties: undefined });
    if (rules) line.append(el("p", { class: "rules" }, rules));
    const inner = fieldsOf(given, depth + 1, seen);
    if (inner) line.append(depth > 0 ? el("details", {}, el("summary", { class: "type" }, "its fields"), inner) : inner);
    return line;
  }

  // The list of a schema's fields; null for what has none. A schema inside itself is named, not opened again.
  function fieldsOf(given, depth = 0, seen = []) {
    const { schema, name, variants } = flat(given);
    if (depth > DEEP || (name && seen.includes(name))) return null;
    const path = name ? [...seen, name] : seen;
    if (variants.length) {
      const lists = variants.map((variant) => [typeOf(variant), fieldsOf(variant, depth, path)]).filter(([, list]) => list);
      return lists.length ? el("div", {}, ...lists.map(([type, list]) => el("details", {}, el("summary", {}, type), list))) : null;
    }
    if (schema.type === "array" && schema.items) return fieldsOf(schema.items, depth, path);
    const properties = Object.entries(schema.properties || {});
    if (!properties.length) return null;
    const required = new Set(schema.required || []);
    return el("ul", { class: "fields" },
      ...properties.map(([key, value]) => field(key, value, required.has(key), depth, path)));
  }

  const EXAMPLES = {
    "date-time": "2026-01-31T09:30:00.000Z", date: "2026-01-31", uuid: "019b0d6e-7c1a-7f3e-9a52-1f0c8d2b4e6a", email: "ada@example.com",
    password: "a long passphrase", uri: "https://example.com", "uri-reference": "/problems/not_found",
  };

  function exampleOf(given, depth = 0, key = "") {
    const { schema, variants } = flat(given);
    if (schema.example !== undefined) return schema.example;
    if (schema.examples && schema.examples.length) return schema.examples[0];
    if (schema.const !== undefined) return schema.const;
    if (schema.default !== undefined) return schema.default;
    if (schema.enum) return schema.enum[0];
    if (variants.length) return exampleOf(variants[0], depth + 1, key);
    if (depth > DEEP) return null;
    const type = [].concat(schema.type || (schema.properties ? "object" : "string")).find((one) => one !== "null");
    if (type === "array") return [exampleOf(schema.items || {}, depth + 1, key)];
    if (type === "object")
      return Object.fromEntries(Object.entries(schema.properties || {}).map(([name, value]) => [name, exampleOf(value, depth + 1, name)]));
    if (type === "integer" || type === "number") return schema.minimum ?? 1;
    if (type === "boolean") return true;
    if (type === "null") return null;
    return EXAMPLES[schema.format] || (key.endsWith("password") ? EXAMPLES.password : "…");
  }

  function curl(method, path, operation, parameters) {
    const server = ((api.servers || [])[0] || {}).url || location.origin;
    const quoted = (text) => "'" + text.replace(/'/g, "'\\''") + "'";
    const asked = parameters.filter((one) => one.in === "query" && one.required)
      .map((one) => one.name + "=" + encodeURIComponent(String(exampleOf(one.schema || {}, 0, one.name))));
    // A path parameter is a shell variable of the same name, in double quotes.
    const target = server + path.replace(/\{([^}]+)\}/g, (_, name) => "$" + name.replace(/\W/g, "_").toUpperCase());
    const lines = ["curl " + (method === "get" ? "" : "-X " + method.toUpperCase() + " ")
      + '"' + target + (asked.length ? "?" + asked.join("&") : "") + '"'];
    if (secured(operation)) lines.push('-H "Authorization: Bearer $TOKEN"');
    for (const one of parameters.filter((parameter) => parameter.in === "header" && parameter.required))
      lines.push('-H "' + one.name + ': …"');
    const content = resolve(operation.requestBody).content || {};
    const media = Object.keys(content)[0];
    if (media === "multipart/form-data") {
      for (const [name, value] of Object.entries(flat(content[media].schema).schema.properties || {}))
        if (typeOf(value).startsWith("file")) lines.push("-F " + quoted(name + "=@scan.pdf"));
    } else if (media === "application/x-www-form-urlencoded") {
      for (const [name, value] of Object.entries(flat(content[media].schema).schema.properties || {}))
        lines.push("-d " + quoted(name + "=" + exampleOf(value, 0, name)));
    } else if (media) {
      lines.push("-H " + quoted("Content-Type: " + media), "-d " + quoted(JSON.stringify(exampleOf(content[media].schema), null, 2).replace(/\n/g, "\n  ")));
    }
    return lines.join(" \\\n  ");
  }

  const secured = (operation) => (operation.security || api.security || []).some((one) => Object.keys(one).length);

  function figure(caption, text) {
    const button = el("button", { type: "button" }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    return el("figure", { class: "example" }, el("figcaption", {}, caption, button), el("pre", { tabindex: "0" }, el("code", {}, text)));
  }

  function contentOf(content) {
    return Object.entries(content || {}).map(([media, { schema }]) => {
      const list = schema ? fieldsOf(schema) : null;
      return el("div", {}, el("p", { class: "rules" }, media + (schema ? " · " + typeOf(schema) : "")), list);
    });
  }

  function responseOf(status, given) {
    const response = resolve(given);
    const kind = status.startsWith("2") ? "good" : /^[45]/.test(status) ? "bad" : "other";
    const title = [el("span", { class: "status " + kind }, status), ...words(response.description)];
    const inner = contentOf(response.content);
    for (const [name, header] of Object.entries(response.headers || {}))
      inner.unshift(el("p", { class: "rules" }, [name, resolve(header).description].filter(Boolean).join(": ")));
    if (!inner.length) return el("div", { class: "response" }, ...title);
    const box = el("details", { class: "response" }, el("summary", {}, ...title), ...inner);
    if (kind === "good") box.setAttribute("open", "");
    return box;
  }

  function section(path, method, operation, shared, id) {
    const parameters = [...(shared || []), ...(operation.parameters || [])].map(resolve);
    const left = el("div", {});
    if (parameters.length)
      left.append(el("h4", {}, "Parameters"), el("ul", { class: "fields" }, ...parameters.map((one) =>
        field(one.name, { ...(one.schema || {}), description: one.description || (one.schema || {}).description }, one.required, 0, [], one.in))));
    const body = resolve(operation.requestBody);
    if (body.content) left.append(el("h4", {}, "Body"), ...prose(body.description), ...contentOf(body.content));
    left.append(el("h4", {}, "Answers"), ...Object.entries(operation.responses || {}).map(([status, one]) => responseOf(status, one)));
    const right = el("div", { class: "aside" }, figure("Example", curl(method, path, operation, parameters)));
    const good = Object.entries(operation.responses || {}).find(([status]) => status.startsWith("2"));
    const json = good && (resolve(good[1]).content || {})["application/json"];
    if (json && json.schema && fieldsOf(json.schema)) right.append(figure(good[0], JSON.stringify(exampleOf(json.schema), null, 2)));
    return el("article", { class: "operation", id },
      el("header", {}, el("h3", {}, operation.summary || id),
        el("div", { class: "address" }, el("span", { class: "method " + method }, method), el("span", { class: "path" }, path),
          el("span", { class: "tagline" }, secured(operation) ? "access token" : "public")),
        ...prose(operation.description)), left, right);
  }

  function groups() {
    const found = new Map((api.tags || []).map((tag) => [tag.name, { tag, operations: [] }]));
    for (const [path, item] of Object.entries(api.paths || {}))
      for (const method of METHODS.filter((one) => item[one])) {
        const operation = item[method];
        const name = (operation.tags || ["Other"])[0];
        if (!found.has(name)) found.set(name, { tag: { name }, operations: [] });
        found.get(name).operations.push({ path, method, operation, shared: item.parameters, id: operation.operationId || method + path });
      }
    return [...found.values()].filter((group) => group.operations.length);
  }

  const titled = (name) => name.charAt(0).toUpperCase() + name.slice(1).replace(/[-_]/g, " ");

  function render() {
    const main = document.getElementById("content");
    const index = document.getElementById("index");
    document.title = api.info.title + " API";
    document.getElementById("version").textContent = api.info.version;
    main.replaceChildren(el("header", {}, el("h1", {}, api.info.title + " API"), ...prose(api.info.description),
      el("p", {}, "The same as a document: ", el("a", { href: "/openapi.json" }, "openapi.json"), ".")));
    for (const { tag, operations } of groups()) {
      main.append(el("h2", { id: "tag-" + tag.name }, titled(tag.name)), ...prose(tag.description),
        ...operations.map((one) => section(one.path, one.method, one.operation, one.shared, one.id)));
      index.append(el("section", {}, el("h2", {}, titled(tag.name)), el("ul", {}, ...operations.map((one) =>
        el("li", { "data-text": [one.method, one.path, one.operation.summary || ""].join(" ").toLowerCase() },
          el("a", { href: "#" + one.id, title: one.path }, el("span", { class: "method " + one.method }, one.method), one.operation.summary || one.path))))));
    }
    if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  }

  document.getElementById("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of document.querySelectorAll("#index section")) {
      const lines = [...group.querySelectorAll("li")];
      for (const line of lines) line.hidden = !words.every((word) => line.dataset.text.includes(word));
      group.hidden = lines.every((line) => line.hidden);
    }
  });

  (async () => {
    const state = document.getElementById("state");
    try {
      const answer = await fetch("/openapi.json", { headers: { Accept: "application/json" } });
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.detail || answer.statusText);
      api = body;
      render();
    } catch (error) {
      state.className = "problem";
      state.textContent = "The reference cannot be shown now: " + error.message + " Reload the page to try again.";
    }
  })();
})();
