/* placeholder */ typedef int hone_model_room;
