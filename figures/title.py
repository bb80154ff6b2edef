"""Put best_median_worst.jpg into the first cell of CNN.ipynb, so that it shows when the
file stands alone."""
import base64
import io
import json
import re
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
NOTEBOOK = HERE.parent / "CNN.ipynb"

notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
image, file = Image.open(HERE / "best_median_worst.jpg"), io.BytesIO()
image.thumbnail((900, 900))
image.save(file, "JPEG", quality=80)
url = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
title = "".join(notebook["cells"][0]["source"])
title = re.sub(r"!\[(.*?)\]\(.*?\)", lambda found: f"![{found[1]}]({url})", title, count=1)
notebook["cells"][0]["source"] = title.splitlines(keepends=True)
NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n",
                    encoding="utf-8")
