from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf
from flask_wtf.file import FileAllowed, FileField, FileRequired
from flask import Flask, render_template_string, request
from wtforms import IntegerField, StringField
from wtforms.validators import InputRequired, Length, NumberRange

app = Flask(__name__)
app.secret_key = "a key of the tests"
csrf = CSRFProtect(app)


class NoteForm(FlaskForm):
    title = StringField("Title", [InputRequired(), Length(max=10)])
    count = IntegerField("Count", [NumberRange(1, 5)])


class UploadForm(FlaskForm):
    file = FileField("File", [FileRequired(), FileAllowed(["txt"], "text only")])


@app.route("/note", methods=["GET", "POST"])
def note():
    form = NoteForm()
    if form.validate_on_submit():
        return {"title": form.title.data, "count": form.count.data}
    if request.method == "POST":
        return {"errors": form.errors}, 400
    return render_template_string(
        "<form>{{ form.csrf_token }}{{ form.title() }}{{ form.count() }}</form>", form=form
    )


@app.post("/upload")
def upload():
    form = UploadForm()
    if form.validate_on_submit():
        return {"name": form.file.data.filename, "size": len(form.file.data.read())}
    return {"errors": form.errors}, 400


@app.get("/token")
def token():
    return {"token": generate_csrf()}


@app.post("/api")
@csrf.exempt
def api():
    return {"free": request.json}


@app.put("/guarded")
async def guarded():
    return {"guarded": True}


@app.errorhandler(CSRFError)
def refused(error):
    return {"csrf": error.description}, 400
