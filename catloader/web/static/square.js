// The square of a stored photo. The form sends the fields.

import { squareTool } from "./square-tool.js";

const part = (name) => document.getElementById(name);
const img = part("cut").querySelector("img");
const [width, height] = ["width", "height"].map((name) => Number(img.getAttribute(name)));
const tool = squareTool(part);
tool.open({ width, height, least: Number(part("side").min) }, tool.place());
